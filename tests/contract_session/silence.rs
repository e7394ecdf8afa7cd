//! Connections that are silent: pings, black holes, applications that are busy.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use reconnecting_stream::{Backoff, Policy, ResumableStream, Sessions, State};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::task::coop::poll_proceed;
use tokio::time::{Instant, sleep};

use crate::support::{Network, Pipe, pair, settle, small, soon};
use crate::wire::{ACK, hello};

/// A connection that becomes a black hole: neither end gets an error, also after a drop.
struct Hole {
    io: Option<Pipe>,
    is_hole: Arc<AtomicBool>,
    kept: Arc<Mutex<Vec<Pipe>>>,
}

impl Hole {
    fn io(&mut self) -> Option<Pin<&mut Pipe>> {
        match self.is_hole.load(Ordering::SeqCst) {
            true => None,
            false => self.io.as_mut().map(Pin::new),
        }
    }
}

impl Drop for Hole {
    fn drop(&mut self) {
        if self.is_hole.load(Ordering::SeqCst) {
            self.kept.lock().unwrap().extend(self.io.take());
        }
    }
}

impl AsyncRead for Hole {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.io().map_or(Poll::Pending, |io| io.poll_read(cx, buf))
    }
}

impl AsyncWrite for Hole {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = Poll::Ready(Ok(buf.len()));
        self.io().map_or(taken, |io| io.poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()
            .map_or(Poll::Ready(Ok(())), |io| io.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().map_or(Poll::Pending, |io| io.poll_shutdown(cx))
    }
}

/// A session whose first connection becomes a black hole when the flag is set.
async fn pair_with_hole() -> (ResumableStream, ResumableStream, Network, Arc<AtomicBool>) {
    let (network, mut streams) = Network::new(small());
    let flag = Arc::new(AtomicBool::new(false));
    let kept = Arc::default();
    let (inner, mut next) = (network.clone(), Some(flag.clone()));
    let connector = move || {
        let is_hole = next.take().unwrap_or_default();
        let kept = Arc::clone(&kept);
        let io = inner.dial().map(Some);
        std::future::ready(io.map(|io| Hole { io, is_hole, kept }))
    };
    let client = ResumableStream::builder(connector)
        .policy(Policy::default().backoff(Backoff::constant(Duration::from_millis(10))))
        .options(small());
    let client = client.connect().await.unwrap();
    let server = streams.recv().await.unwrap();
    (client, server, network, flag)
}

#[tokio::test(start_paused = true)]
async fn a_black_hole_is_found_by_a_ping_and_replaced_without_the_old_connection() {
    let (mut client, mut server, network, is_hole) = pair_with_hole().await;
    is_hole.store(true, Ordering::SeqCst);
    let began = Instant::now();
    client.write_all(b"hello").await.unwrap();
    server.write_all(&[7; 16_000]).await.unwrap();
    let mut bytes = [0; 5];
    soon(server.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(&bytes, b"hello");
    let mut much = vec![0; 16_000];
    soon(client.read_exact(&mut much)).await.unwrap();
    assert!(
        began.elapsed() <= Duration::from_secs(26),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(network.dials(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_command_replaces_a_black_hole_without_waiting() {
    let (mut client, mut server, _network, is_hole) = pair_with_hole().await;
    is_hole.store(true, Ordering::SeqCst);
    server.write_all(&[7; 16_000]).await.unwrap();
    settle().await;
    let began = Instant::now();
    client.handle().reconnect();
    let mut much = vec![0; 16_000];
    soon(client.read_exact(&mut much)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(matches!(server.state(), State::Connected { generation: 2 }));
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_and_one_whose_applications_are_busy_keep_their_connection() {
    for is_full in [false, true] {
        let (mut client, mut server, network) = pair().await;
        if is_full {
            client.write_all(&[1; 32 * 1024]).await.unwrap();
            server.write_all(&[1; 32 * 1024]).await.unwrap();
        }
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(network.dials(), 1);
        assert!(matches!(client.state(), State::Connected { generation: 1 }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lazy_stream_begins_the_session_behind_what_is_written() {
    let (network, mut streams) = Network::new(small());
    network.go_down(true);
    let mut client = network.builder().metadata("user=7").lazy();
    client.write_all(b"hello").await.unwrap();
    soon(client.flush()).await.unwrap();
    sleep(Duration::from_secs(600)).await;
    network.go_down(false);
    let mut server = soon(streams.recv()).await.unwrap();
    assert_eq!(server.metadata(), b"user=7");
    let mut bytes = [0; 5];
    soon(server.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(&bytes, b"hello");
    assert_eq!(client.id(), server.id());
}

#[tokio::test(start_paused = true)]
async fn a_lazy_stream_that_is_dropped_after_its_shutdown_delivers_everything() {
    let (network, mut streams) = Network::new(small());
    network.go_down(true);
    let mut client = network.builder().lazy();
    client.write_all(b"hello").await.unwrap();
    assert!(
        tokio::time::timeout(Duration::ZERO, client.shutdown())
            .await
            .is_err()
    );
    drop(client);
    sleep(Duration::from_secs(600)).await;
    network.go_down(false);
    let mut server = soon(streams.recv()).await.unwrap();
    let mut text = String::new();
    soon(server.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "hello");
}

#[tokio::test(start_paused = true)]
async fn a_lazy_stream_that_is_dropped_stops_dialing() {
    let (network, _streams) = Network::new(small());
    network.go_down(true);
    let client = network.builder().lazy();
    sleep(Duration::from_secs(1)).await;
    drop(client);
    settle().await;
    let dials = network.dials();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(network.dials(), dials);
}

#[test]
fn a_shutdown_that_is_ok_has_delivered_everything_when_the_process_exits_after_it() {
    let build = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    };
    let (theirs, ours) = (build(), build());
    let (network, mut streams) = Network::new(small());
    let dialing = network.clone();
    let (near, far) = duplex(64);
    let sessions = dialing.sessions();
    let accept = ours.spawn(async move { sessions.accept(far).await });
    let mut near = Some(near);
    let client = theirs.spawn(async move {
        let connector =
            move || std::future::ready(near.take().ok_or(io::ErrorKind::NotFound.into()));
        let mut client = ResumableStream::connect(connector).await.unwrap();
        client.write_all(&[7; 10_000]).await.unwrap();
        client.shutdown().await.unwrap();
    });
    let accepted = ours.block_on(soon(accept)).unwrap().unwrap();
    let reconnecting_stream::Accepted::New(mut server) = accepted else {
        panic!("not a new session")
    };
    ours.block_on(soon(client)).unwrap();
    theirs.shutdown_background();
    let mut bytes = Vec::new();
    ours.block_on(soon(server.read_to_end(&mut bytes))).unwrap();
    assert_eq!(bytes.len(), 10_000);
    assert!(streams.try_recv().is_err());
}

/// A connection that uses up the budget of the task that reads from it, once.
struct Greedy {
    io: DuplexStream,
    is_greedy: Arc<AtomicBool>,
}

impl AsyncRead for Greedy {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.io).poll_read(cx, buf);
        if self.is_greedy.swap(false, Ordering::SeqCst) {
            while let Poll::Ready(budget) = poll_proceed(cx) {
                budget.made_progress();
            }
        }
        poll
    }
}

impl AsyncWrite for Greedy {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_uses_up_the_budget_of_the_task_stops_no_timer() {
    for after in [10, 500, 5_000] {
        let sessions = Sessions::new(small());
        let is_greedy = Arc::new(AtomicBool::new(false));
        let (mut client, io) = duplex(4096);
        let greedy = Greedy {
            io,
            is_greedy: is_greedy.clone(),
        };
        client.write_all(&hello()).await.unwrap();
        client.write_all(&ACK).await.unwrap();
        client
            .write_all(b"\x10\x00\x09\0\0\0\0\0\0\0\0x")
            .await
            .unwrap();
        let _stream = soon(sessions.accept(greedy)).await.unwrap();
        sleep(Duration::from_millis(after)).await;
        is_greedy.store(true, Ordering::SeqCst);
        // The client is silent: it gets a PING, and then the connection is closed.
        let mut bytes = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(30), client.read_to_end(&mut bytes));
        end.await.expect("a timer was lost").unwrap();
    }
}
