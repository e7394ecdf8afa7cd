//! A RESET of a client arrives, also if the connection that should carry it fails.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use reconnecting_stream::SessionLostReason::{self, Closed, Expired, PeerReset};
use reconnecting_stream::{ResumableListener, ResumableStream, SessionOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::support::{Network, Pipe, pair_that_has_begun, reason, settle, small, soon};

/// What a connection does with what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writes {
    Work,
    /// So many bytes pass in 100 ms.
    AreSlow(usize),
    Fail,
    /// They are taken, and never arrive.
    Vanish,
}

struct Link {
    io: Pipe,
    mode: Arc<Mutex<Writes>>,
    wait: Pin<Box<Sleep>>,
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mode = *self.mode.lock().unwrap();
        match mode {
            Writes::Work => Pin::new(&mut self.io).poll_write(cx, buf),
            Writes::AreSlow(most) => {
                ready!(self.wait.as_mut().poll(cx));
                let part = buf.len().min(most);
                let n = ready!(Pin::new(&mut self.io).poll_write(cx, &buf[..part]))?;
                let at = Instant::now() + Duration::from_millis(100);
                self.wait.as_mut().reset(at);
                Poll::Ready(Ok(n))
            }
            Writes::Fail => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Writes::Vanish => Poll::Ready(Ok(buf.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if *self.mode.lock().unwrap() == Writes::Vanish {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A client whose first connections do this with what is written at its end. Returns what the server
/// gets, after which time, and in how many dials.
async fn end(
    writes: Writes,
    connections: usize,
    closes: bool,
) -> (Option<SessionLostReason>, Duration, usize) {
    let (mut network, mut streams) = Network::new(SessionOptions::new());
    network.size = 64 * 1024;
    let broken = Arc::new(Mutex::new(Writes::Work));
    if let Writes::AreSlow(_) = writes {
        *broken.lock().unwrap() = writes;
    }
    let (dialing, mode) = (network.clone(), Arc::clone(&broken));
    let dials = AtomicUsize::new(0);
    let connector = move || {
        let is_broken = dials.fetch_add(1, Ordering::Relaxed) < connections;
        let mode = match is_broken {
            true => Arc::clone(&mode),
            false => Arc::new(Mutex::new(Writes::Work)),
        };
        let wait = Box::pin(sleep(Duration::ZERO));
        std::future::ready(dialing.dial().map(|io| Link { io, mode, wait }))
    };
    let mut client = ResumableStream::connect(connector).await.unwrap();
    let mut server = streams.recv().await.unwrap();
    client.write_all(&[1; 200_000]).await.unwrap();
    sleep(Duration::from_millis(500)).await;

    let began = Instant::now();
    *broken.lock().unwrap() = writes;
    if closes {
        client.handle().close();
        sleep(Duration::from_millis(1)).await;
        let error = soon(client.read_u8()).await.unwrap_err();
        assert_eq!(reason(&error), Some(Closed), "this end does not wait");
    }
    drop(client);
    let error = soon(server.read_to_end(&mut Vec::new())).await.unwrap_err();
    let took = began.elapsed();
    // No dial follows once the server knows.
    sleep(Duration::from_secs(300)).await;
    assert!(network.sessions().is_empty());
    (reason(&error), took, network.dials())
}

#[tokio::test(start_paused = true)]
async fn a_reset_whose_connection_fails_is_told_on_the_next_one() {
    for writes in [Writes::Work, Writes::Fail, Writes::Vanish] {
        for (closes, expected) in [(false, PeerReset), (true, Closed)] {
            let (reason, took, dials) = end(writes, 1, closes).await;
            assert_eq!(reason, Some(expected), "{writes:?}, closes: {closes}");
            assert!(took < Duration::from_secs(3), "{writes:?}: {took:?}");
            let expected = if writes == Writes::Work { 1 } else { 2 };
            assert_eq!(dials, expected, "{writes:?}, closes: {closes}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_behind_a_frame_on_a_slow_connection_is_told_on_the_next_one() {
    for (closes, expected) in [(false, PeerReset), (true, Closed)] {
        let (reason, took, _) = end(Writes::AreSlow(3277), 1, closes).await;
        assert_eq!(reason, Some(expected), "closes: {closes}");
        assert!(took < Duration::from_secs(3), "closes: {closes}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_that_no_connection_takes_is_told_for_the_time_to_live_at_most() {
    let (reason, took, dials) = end(Writes::Vanish, usize::MAX, false).await;
    assert_eq!(reason, Some(Expired));
    assert!(took < Duration::from_secs(250), "{took:?}");
    assert!(dials < 200, "{dials}");
}

#[tokio::test]
async fn a_reset_over_a_socket_that_works_needs_no_other_connection() {
    let listener = ResumableListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let dials = Arc::new(AtomicUsize::new(0));
    for _ in 0..20 {
        let counted = Arc::clone(&dials);
        let connector = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            TcpStream::connect(address)
        };
        let mut client = ResumableStream::connect(connector).await.unwrap();
        client.write_all(&[1; 100_000]).await.unwrap();
        let mut server = listener.accept().await.unwrap();
        // What the server sends is on its way.
        server.write_all(&[2; 1_000_000]).await.unwrap();
        drop(client);
        let error = server.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(reason(&error), Some(PeerReset));
    }
    while !listener.sessions().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(dials.load(Ordering::Relaxed), 20);
}

struct Panics;
impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("of a waker, as the test wants it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_whose_waking_panics_closes_both_ends() {
    for client_closes in [true, false] {
        let (client, server, _network) = pair_that_has_begun().await;
        let (mut closed, mut left) = match client_closes {
            true => (client, server),
            false => (server, client),
        };
        for stream in [&mut closed, &mut left] {
            stream.read_exact(&mut [0; 5]).await.unwrap();
        }
        let mut byte = [0];
        let waker = Waker::from(Arc::new(Panics));
        let poll = Pin::new(&mut closed).poll_read(
            &mut Context::from_waker(&waker),
            &mut ReadBuf::new(&mut byte),
        );
        assert!(poll.is_pending());
        let began = Instant::now();
        closed.handle().close();
        let error = soon(left.read_u8()).await.unwrap_err();
        assert_eq!(reason(&error), Some(Closed), "client: {client_closes}");
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_drop_before_any_answer_dials_no_more() {
    let (network, _streams) = Network::new(small());
    network.go_down(true);
    let client = network.builder().lazy();
    settle().await;
    drop(client);
    settle().await;
    let dials = network.dials();
    sleep(Duration::from_secs(300)).await;
    assert_eq!(network.dials(), dials);
}
