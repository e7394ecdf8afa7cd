//! The shutdown of a server.

use std::time::Duration;

use reconnecting_stream::{SessionLostReason, Sessions};
use tokio::io::AsyncReadExt;

use crate::support::{accepting, reason, runtime, settle, small, soon};
use crate::wire::{answer, begin, say, welcomed};

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

#[test]
fn a_shutdown_ends_although_the_runtime_of_a_session_does_not_run() {
    let (stopped, running) = (runtime(), runtime());
    let sessions = Sessions::new(small());
    let (mut stream, _client, credentials) = stopped.block_on(begin(&sessions));
    running.block_on(soon(sessions.shutdown(Duration::from_secs(10))));
    // Its client is told that it is closed, and so is its application.
    let mut client = running.block_on(say(&sessions, &credentials.resume(1)));
    assert_eq!(running.block_on(answer(&mut client)), (5, Some(7)));
    let error = running.block_on(soon(stream.read_u8()));
    assert_eq!(reason(&error.unwrap_err()), Some(SessionLostReason::Closed));
}
