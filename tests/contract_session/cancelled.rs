//! Futures that are dropped, and code that panics.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use reconnecting_stream::{
    Accepted, Backoff, Policy, ResumableStream, SessionLostReason, Sessions,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};
use tokio::time::timeout;

use crate::support::{Network, Pipe, accepting, byte, cut, pair, reason, settle, small, soon};
use crate::wire::{ACK, answer, welcomed};

/// Polls a future so many times, and drops it.
async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    for _ in 0..times {
        let poll = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = poll {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_accept_was_dropped_is_returned_by_the_call_that_resumes_it() {
    for times in 0..20 {
        let sessions = Sessions::new(small());
        let (near, far) = duplex(4096);
        let server = {
            let sessions = sessions.clone();
            async move { sessions.accept(far).await }
        };
        let (sender, mut streams) = tokio::sync::mpsc::unbounded_channel();
        let accepting = sessions.clone();
        let mut first = Some(near);
        let connector = move || {
            let io = first.take().unwrap_or_else(|| {
                let (near, far) = duplex(4096);
                let (sessions, sender) = (accepting.clone(), sender.clone());
                tokio::spawn(async move {
                    if let Ok(Accepted::New(stream)) = sessions.accept(far).await {
                        let _ = sender.send(stream);
                    }
                });
                near
            });
            std::future::ready(io::Result::Ok(io))
        };
        let client = ResumableStream::builder(connector)
            .retry_initial_connect(true)
            .connect();
        let client = tokio::spawn(client);
        let mut accepted = polled(times, server).await;
        let mut client = soon(client).await.unwrap().unwrap();
        client.write_all(b"hello").await.unwrap();
        let mut server = match accepted.take() {
            Some(Ok(Accepted::New(stream))) => stream,
            None => soon(streams.recv()).await.unwrap(),
            Some(other) => panic!("{other:?}"),
        };
        let mut bytes = [0; 5];
        soon(server.read_exact(&mut bytes)).await.unwrap();
        assert_eq!(&bytes, b"hello");
    }
}

#[tokio::test(start_paused = true)]
async fn an_accept_that_is_dropped_behind_the_welcome_drops_its_connection() {
    let sessions = Sessions::new(small());
    let (mut client, accept) = accepting(&sessions);
    let credentials = welcomed(&mut client).await;
    accept.abort();
    let mut rest = Vec::new();
    let end = timeout(Duration::from_secs(1), client.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the connection stays open");
    let (mut client, server) = duplex(4096);
    client.write_all(&credentials.resume(1)).await.unwrap();
    client.write_all(&ACK).await.unwrap();
    let accepted = soon(sessions.accept(server)).await.unwrap();
    assert!(matches!(accepted, Accepted::New(_)));
    assert_eq!(answer(&mut client).await.0, 4);
}

#[tokio::test(start_paused = true)]
async fn an_accept_that_is_dropped_keeps_a_later_connection_of_its_session() {
    let sessions = Sessions::new(small());
    let (mut first, accept) = accepting(&sessions);
    let credentials = welcomed(&mut first).await;
    let (mut second, resumed) = accepting(&sessions);
    second.write_all(&credentials.resume(1)).await.unwrap();
    assert_eq!(answer(&mut second).await.0, 4);
    accept.abort();
    settle().await;
    second.write_all(&ACK).await.unwrap();
    let accepted = soon(resumed).await.unwrap().unwrap();
    assert!(matches!(accepted, Accepted::New(_)), "{accepted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_is_dropped_leaves_nothing_at_the_server() {
    for times in 0..12 {
        let (network, mut streams) = Network::new(small());
        let _ = polled(times, network.builder().connect()).await.map(drop);
        soon(async {
            while !network.sessions().is_empty() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                while let Ok(mut stream) = streams.try_recv() {
                    assert!(stream.read_u8().await.is_err());
                }
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn operations_that_are_dropped_at_every_await_lose_nothing() {
    let (mut client, mut server, _network) = pair().await;
    let mut random = fastrand::Rng::with_seed(1);
    let (mut sent, mut got) = (0, 0);
    while sent < 100_000 {
        let bytes: Vec<u8> = (sent..sent + 5000).map(|at| byte(1, at)).collect();
        if let Some(n) = polled(random.usize(..3), client.write(&bytes)).await {
            sent += n.unwrap();
        }
        let _ = polled(random.usize(..3), client.flush()).await;
        let _ = polled(random.usize(..3), client.acknowledged()).await;
        if random.u8(..10) == 0 {
            client.handle().reconnect();
        }
        let mut buf = [0; 3000];
        if let Some(n) = polled(random.usize(..3), server.read(&mut buf)).await {
            for byte_read in &buf[..n.unwrap()] {
                assert_eq!(*byte_read, byte(1, got));
                got += 1;
            }
        }
    }
    for times in 0..4 {
        let _ = polled(times, client.shutdown()).await;
    }
    let mut rest = Vec::new();
    soon(server.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(got + rest.len(), sent);
    soon(server.shutdown()).await.unwrap();
    soon(client.shutdown()).await.unwrap();
}

#[test]
fn a_runtime_that_shuts_down_ends_its_sessions_for_tasks_of_another_runtime() {
    let build = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    };
    let (theirs, ours) = (build(), build());
    let (mut client, server, network) = theirs.block_on(pair());
    let reading = ours.spawn(async move { client.read_u8().await });
    ours.block_on(settle());
    theirs.shutdown_timeout(Duration::from_secs(60));
    let error = ours.block_on(soon(reading)).unwrap().unwrap_err();
    assert_eq!(reason(&error), Some(SessionLostReason::Closed));
    assert!(network.sessions().is_empty());
    drop(server);
}

/// A pipe that panics at its n-th operation of one kind.
struct Panics {
    io: Pipe,
    reads: Arc<AtomicUsize>,
    writes: Arc<AtomicUsize>,
    drops: Arc<AtomicUsize>,
}

fn count_down(left: &AtomicUsize) {
    let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    assert!(before != Ok(1), "planted");
}

impl AsyncRead for Panics {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        count_down(&self.reads);
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Panics {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        count_down(&self.writes);
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        count_down(&self.drops);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_a_connector_or_an_observer_that_panics_is_a_loss_of_the_connection() {
    for place in 0..5 {
        let (network, mut streams) = Network::new(small());
        let [reads, writes, drops, dials, events] = <[Arc<AtomicUsize>; 5]>::default();
        let inner = network.clone();
        let (r, w, d, c) = (reads.clone(), writes.clone(), drops.clone(), dials.clone());
        let connector = move || {
            count_down(&c);
            let (reads, writes, drops) = (r.clone(), w.clone(), d.clone());
            let io = inner.dial();
            std::future::ready(io.map(|io| Panics {
                io,
                reads,
                writes,
                drops,
            }))
        };
        let observed = events.clone();
        let policy = Policy::default().backoff(Backoff::constant(Duration::from_millis(10)));
        let client = ResumableStream::builder(connector)
            .options(small())
            .policy(policy)
            .on_event(move |_| count_down(&observed));
        let mut client = client.connect().await.unwrap();
        let mut server = streams.recv().await.unwrap();
        [&reads, &writes, &drops, &dials, &events][place].store(2, Ordering::SeqCst);
        for round in 0..6 {
            client.write_all(&[round]).await.unwrap();
            assert_eq!(soon(server.read_u8()).await.unwrap(), round, "{place}");
            server.write_all(&[round]).await.unwrap();
            assert_eq!(soon(client.read_u8()).await.unwrap(), round, "{place}");
            client.handle().reconnect();
        }
        drop(client);
        let error = soon(server.read_u8()).await.unwrap_err();
        assert_eq!(reason(&error), Some(SessionLostReason::PeerReset));
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_is_ready_while_there_is_no_connection_and_after_the_session_is_complete() {
    let (mut client, mut server, network) = pair().await;
    cut(&client, &network).await;
    client.write_all(b"x").await.unwrap();
    soon(client.flush()).await.unwrap();
    network.go_down(false);
    assert_eq!(soon(server.read_u8()).await.unwrap(), b'x');
    let (a, b) = soon(async { tokio::join!(client.shutdown(), server.shutdown()) }).await;
    a.and(b).unwrap();
    soon(client.flush()).await.unwrap();
    soon(server.flush()).await.unwrap();
}
