//! Sessions whose client has the answer to its hello, and whose server has no frame of the client.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reconnecting_stream::{ResumableStream, SessionOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

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

/// A connection to a server that passes the handshake on, and nothing else. Returns how long the
/// server has kept it.
async fn hold_behind_handshake(mut near: DuplexStream, mut far: DuplexStream) -> Duration {
    let began = Instant::now();
    let mut bytes = [0; 1024];
    let n = near.read(&mut bytes).await.unwrap();
    far.write_all(&bytes[..n]).await.unwrap();
    let n = far.read(&mut bytes).await.unwrap();
    near.write_all(&bytes[..n]).await.unwrap();
    while far.read(&mut bytes).await.unwrap() > 0 {}
    began.elapsed()
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
async fn a_connection_that_does_not_confirm_its_session_ends_after_a_handshakes_time() {
    // By then its peer is not silent yet: that takes 25 s.
    for cut_before in [0, 1] {
        let (server, _streams) = Server::new(options());
        let (sender, mut kept) = mpsc::unbounded_channel();
        let (attempts, network) = (AtomicUsize::new(0), server.clone());
        let connector = move || {
            let attempt = attempts.fetch_add(1, Ordering::SeqCst);
            let (server, sender) = (network.clone(), sender.clone());
            async move {
                if attempt < cut_before {
                    return cut_behind_handshake(&server, true).await;
                }
                let far = server.connect().await?;
                let (client, near) = duplex(4096);
                tokio::spawn(async move { sender.send(hold_behind_handshake(near, far).await) });
                Ok(client)
            }
        };
        let client = ResumableStream::builder(connector).policy(quick());
        let _client = client.connect().await.unwrap();
        let kept = kept.recv().await.unwrap();
        assert!((10..11).contains(&kept.as_secs()), "{kept:?}");
    }
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
