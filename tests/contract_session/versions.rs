//! The other end is another server, or of another version.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reconnecting_stream::{Accepted, ResumableStream, SessionLostReason, Sessions};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::sleep;

use crate::support::{accepting, pair, reason, settle, small, soon};
use crate::wire::{ACK, answer, hello, welcomed};

const PING: [u8; 11] = [0x13, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7];
const PONG: [u8; 11] = crate::wire::PONG;

#[tokio::test(start_paused = true)]
async fn a_balancer_that_moves_a_client_to_another_live_server_ends_its_session_as_rejected() {
    let (mut client, mut server, network) = pair().await;
    client.write_all(b"for the first server").await.unwrap();
    client.acknowledged().await.unwrap();
    let other = Sessions::new(small());
    let first = std::mem::replace(&mut *network.sessions.lock().unwrap(), other.clone());
    client.handle().reconnect();
    let error = soon(client.read_u8()).await.unwrap_err();
    assert_eq!(reason(&error), Some(SessionLostReason::Rejected));
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let text = "the session is lost: the server does not know or refuses it";
    assert_eq!(error.to_string(), text);
    let error = client.write_all(b"x").await.unwrap_err();
    assert_eq!(reason(&error), Some(SessionLostReason::Rejected));
    // It is final: the client does not dial again, though the first server still has the session.
    let dials = network.dials();
    sleep(Duration::from_secs(60)).await;
    assert_eq!((network.dials(), first.len(), other.len()), (dials, 1, 0));
    let mut read = Vec::new();
    let error = soon(server.read_to_end(&mut read)).await.unwrap_err();
    assert_eq!(reason(&error), Some(SessionLostReason::Expired));
    assert_eq!(read, b"for the first server");
}

#[tokio::test(start_paused = true)]
async fn a_client_of_a_later_version_with_more_fields_gets_a_session_of_this_version() {
    let sessions = Sessions::new(small());
    let (mut client, accept) = accepting(&sessions);
    let mut message = hello();
    message[2] += 5;
    message[7] = 2;
    message.extend_from_slice(&[9; 5]);
    client.write_all(&message).await.unwrap();
    let mut welcome = [0; 64];
    client.read_exact(&mut welcome).await.unwrap();
    assert_eq!(welcome[..4], [2, 0, 61, 1]);
    client.write_all(&ACK).await.unwrap();
    let accepted = soon(accept).await.unwrap().unwrap();
    assert!(matches!(accepted, Accepted::New(_)), "{accepted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_of_an_incompatible_version_is_told_so_and_leaves_nothing() {
    let sessions = Sessions::new(small());
    let (mut client, accept) = accepting(&sessions);
    let mut message = hello();
    message[6] = b'2';
    client.write_all(&message).await.unwrap();
    assert_eq!(answer(&mut client).await, (5, Some(0x41)));
    assert!(soon(accept).await.unwrap().is_err());
    assert!(sessions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_of_an_incompatible_version_is_told_so_before_the_rest_of_its_hello_arrives() {
    let sessions = Sessions::new(small());
    let (mut client, accept) = accepting(&sessions);
    let mut message = b"\x01\x06\x00RSS2".to_vec();
    message.resize(3 + 0x600, 0);
    client.write_all(&message[..8]).await.unwrap();
    assert_eq!(answer(&mut client).await, (5, Some(0x41)));
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    settle().await;
    // A socket that is closed before this has arrived resets the connection, and the answer is lost.
    client.write_all(&message[8..]).await.unwrap();
    drop(client);
    let error = soon(accept).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("version"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_of_an_incompatible_version_ends_the_session_for_good() {
    let dials = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&dials);
    let connector = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        let (client, mut server) = duplex(4096);
        tokio::spawn(async move {
            server.read_exact(&mut [0; 18]).await?;
            server.write_all(&[5, 0, 6, 2, 0x41, 0, 0, 0, 0]).await?;
            server.read_u8().await
        });
        std::future::ready(Ok::<DuplexStream, std::io::Error>(client))
    };
    let mut stream = ResumableStream::builder(connector).lazy();
    let error = soon(stream.read_u8()).await.unwrap_err();
    assert_eq!(reason(&error), Some(SessionLostReason::Rejected));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(dials.load(Ordering::SeqCst), 1);
}

/// Begins a session with a client that is not one of this crate.
async fn begin(sessions: &Sessions) -> (ResumableStream, DuplexStream) {
    let (mut client, accept) = accepting(sessions);
    welcomed(&mut client).await;
    client.write_all(&ACK).await.unwrap();
    match soon(accept).await.unwrap().unwrap() {
        Accepted::New(stream) => (stream, client),
        accepted => panic!("{accepted:?}"),
    }
}

/// Waits for a PONG. Returns `false` if the connection ends before.
async fn is_answered(client: &mut DuplexStream) -> bool {
    let mut head = [0; 3];
    while client.read_exact(&mut head).await.is_ok() {
        let mut body = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
        client.read_exact(&mut body).await.unwrap();
        if head[0] == PONG[0] {
            return body == PONG[3..];
        }
    }
    false
}

#[tokio::test(start_paused = true)]
async fn an_unknown_frame_is_skipped_or_ends_its_connection_as_its_type_says() {
    for (kind, is_skipped) in [(0x9f, true), (0x1f, false)] {
        let sessions = Sessions::new(small());
        let (stream, mut client) = begin(&sessions).await;
        client.write_all(&[kind, 0, 2, 1, 2]).await.unwrap();
        // The connection may be closed already.
        let _ = client.write_all(&PING).await;
        assert_eq!(
            soon(is_answered(&mut client)).await,
            is_skipped,
            "{kind:#x}"
        );
        // Only the connection ends: the session can be resumed.
        assert_eq!(sessions.len(), 1);
        drop(stream);
    }
}
