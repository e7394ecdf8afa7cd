//! Sessions whose client has the answer to its hello, and whose server has no frame of the client.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reconnecting_stream::{ResumableStream, SessionOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{sleep, timeout};

use crate::support::{Server, options, quick};

/// Passes the hello and its answer on, and nothing else. Ends after a moment.
async fn relay_handshake(mut near: DuplexStream, mut far: DuplexStream, passes_answer: bool) {
    let mut bytes = [0; 1024];
    let n = near.read(&mut bytes).await.unwrap();
    far.write_all(&bytes[..n]).await.unwrap();
    let n = far.read(&mut bytes).await.unwrap();
    if passes_answer {
        near.write_all(&bytes[..n]).await.unwrap();
    }
    sleep(Duration::from_millis(5)).await;
}

/// A connection to a server that ends behind its handshake.
async fn cut_behind_handshake(server: &Server, passes_answer: bool) -> io::Result<DuplexStream> {
    let far = server.connect().await?;
    let (client, near) = duplex(4096);
    tokio::spawn(relay_handshake(near, far, passes_answer));
    Ok(client)
}

#[tokio::test(start_paused = true)]
async fn what_was_written_before_the_server_had_a_frame_survives_a_long_outage() {
    let (server, mut streams) = Server::new(options());
    let (attempts, network) = (Arc::new(AtomicUsize::new(0)), server.clone());
    let connector = move || {
        let (attempt, server) = (attempts.fetch_add(1, Ordering::SeqCst), network.clone());
        async move {
            match attempt {
                0 => cut_behind_handshake(&server, true).await,
                _ => server.connect().await,
            }
        }
    };
    let client = ResumableStream::builder(connector).policy(quick());
    let mut client = client.connect().await.unwrap();
    client.write_all(b"kept").await.unwrap();
    server.refuse(true);
    // Longer than a handshake, shorter than the time to live.
    sleep(Duration::from_secs(100)).await;
    assert!(server.sessions.lock().unwrap().is_empty());
    assert!(streams.try_recv().is_err());

    server.refuse(false);
    let accepted = timeout(Duration::from_secs(10), streams.recv());
    let mut accepted = accepted.await.unwrap().unwrap();
    let mut bytes = [0; 4];
    accepted.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, *b"kept");
    // There is one handler.
    sleep(Duration::from_secs(200)).await;
    assert!(streams.try_recv().is_err());
    assert_eq!(server.sessions.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn sessions_whose_answer_was_lost_leave_room_for_others_and_then_nothing() {
    let options: SessionOptions = options().max_sessions(2);
    let (server, mut streams) = Server::new(options);
    for _ in 0..5 {
        let server = server.clone();
        let connector = move || {
            let server = server.clone();
            async move { cut_behind_handshake(&server, false).await }
        };
        let error = ResumableStream::connect(connector).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
    assert!(server.sessions.lock().unwrap().is_empty());
    let first = server.begin(&mut streams).await;
    let second = server.begin(&mut streams).await;
    let third = server.clone();
    let refused = ResumableStream::connect(move || third.connect()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ResourceBusy);
    assert_eq!(server.sessions.lock().unwrap().len(), 2);
    drop((first, second));
    server.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_sessions_that_no_application_has() {
    let (server, _streams) = Server::new(options());
    let network = server.clone();
    let connector = move || {
        let server = network.clone();
        async move { cut_behind_handshake(&server, false).await }
    };
    ResumableStream::connect(connector).await.unwrap_err();
    let sessions = server.sessions.lock().unwrap().clone();
    let shutdown = sessions.shutdown(Duration::from_secs(1000));
    timeout(Duration::from_secs(5), shutdown).await.unwrap();
}
