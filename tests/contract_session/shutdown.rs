//! The shutdown of a server.

use std::time::Duration;

use reconnecting_stream::Sessions;
use tokio::io::AsyncReadExt;

use crate::support::{accepting, settle, small, soon};
use crate::wire::{answer, say, welcomed};

/// A RESET with the reason "closed".
const CLOSED: [u8; 4] = [0x15, 0, 1, 7];

#[tokio::test(start_paused = true)]
async fn a_shutdown_tells_a_client_that_has_not_confirmed_its_session() {
    let sessions = Sessions::new(small());
    let (mut client, accept) = accepting(&sessions);
    welcomed(&mut client).await;
    settle().await;
    sessions.shutdown(Duration::from_secs(10)).await;
    let mut rest = Vec::new();
    soon(client.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.ends_with(&CLOSED), "{rest:?}");
    assert!(soon(accept).await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_tells_a_client_that_has_not_confirmed_its_session_and_resumes_it_later() {
    let sessions = Sessions::new(small());
    let (mut client, accept) = accepting(&sessions);
    let credentials = welcomed(&mut client).await;
    drop(client);
    assert!(soon(accept).await.unwrap().is_err());
    sessions.shutdown(Duration::from_secs(10)).await;
    let mut client = say(&sessions, &credentials.resume(1)).await;
    assert_eq!(answer(&mut client).await, (5, Some(7)), "closed");
}
