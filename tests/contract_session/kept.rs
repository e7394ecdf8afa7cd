//! Peers that keep what has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use reconnecting_stream::{Accepted, Sessions};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{advance, sleep};

use crate::support::{settle, small, soon};
use crate::wire::{ACK, Flood, PONG, answer, begin, hello, say};

/// A flood that begins behind its first bytes once it is let go.
struct HeldFlood {
    flood: Flood,
    is_held: Arc<AtomicBool>,
}

impl AsyncRead for HeldFlood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        // The command that lets it go wakes the reader.
        if self.flood.first.is_empty() && self.is_held.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        Pin::new(&mut self.flood).poll_read(cx, buf)
    }
}

impl AsyncWrite for HeldFlood {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.flood).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_peer_that_begins_to_flood_late_does_not_keep_a_session_that_has_ended() {
    tokio::time::pause();
    let sessions = Sessions::new(small());
    let is_held = Arc::new(AtomicBool::new(true));
    let mut first = hello();
    first.extend_from_slice(&ACK);
    let flood = Flood {
        first,
        then: &PONG,
        reads: usize::MAX,
    };
    let held = HeldFlood {
        flood,
        is_held: Arc::clone(&is_held),
    };
    let Accepted::New(stream) = soon(sessions.accept(held)).await.unwrap() else {
        panic!("it began no session")
    };
    // The driver waits for the time of the next PING.
    for _ in 0..5 {
        advance(Duration::from_secs(1)).await;
        settle().await;
    }
    is_held.store(false, Ordering::SeqCst);
    stream.handle().close();
    for _ in 0..3 {
        tokio::task::yield_now().await;
        advance(Duration::from_secs(1)).await;
    }
    tokio::task::yield_now().await;
    assert_eq!(sessions.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_resumes_a_session_that_is_complete_does_not_keep_it() {
    let sessions = Sessions::new(small());
    let (mut stream, mut client, credentials) = begin(&sessions).await;
    // The end of the client, and its acknowledgment of the server's.
    let mut ack = ACK;
    ack[10] = 1;
    client
        .write_all(&[0x12, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    let (shutdown, _) = tokio::join!(stream.shutdown(), async {
        settle().await;
        client.write_all(&ack).await.unwrap();
    });
    shutdown.unwrap();
    drop(stream);
    let mut connections = vec![client];
    for epoch in 1..=20 {
        sleep(Duration::from_millis(900)).await;
        let resume = credentials.resume_at(epoch, 1);
        let mut connection = say(&sessions, &resume).await;
        assert_eq!(answer(&mut connection).await.0, 4, "epoch {epoch}");
        connections.push(connection);
    }
    assert_eq!(sessions.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_resume_whose_offsets_do_not_fit_ends_the_session_without_a_timer() {
    let sessions = Sessions::new(small());
    let (_stream, _client, credentials) = begin(&sessions).await;
    // The next timer is that of a PING.
    sleep(Duration::from_secs(5)).await;
    let mut connection = say(&sessions, &credentials.resume_at(1, 99)).await;
    assert_eq!(answer(&mut connection).await, (5, Some(4)));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(sessions.len(), 0);
}
