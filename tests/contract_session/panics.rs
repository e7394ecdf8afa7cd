//! Foreign code that panics, and the other sessions of its server.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use reconnecting_stream::{ResumableStream, Sessions};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

use crate::support::{Network, accepting, cut, runtime, small, soon};
use crate::wire::{begin, welcomed};

/// A task whose executor panics.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("of a waker, as the test wants it");
    }
}

/// Lets a task whose waker panics wait for bytes.
fn wait_for_bytes(stream: &mut ResumableStream) {
    let waker = Waker::from(Arc::new(Panics));
    let cx = &mut Context::from_waker(&waker);
    let poll = Pin::new(stream).poll_read(cx, &mut ReadBuf::new(&mut [0]));
    assert!(poll.is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_at_the_eviction_of_its_session_takes_no_place_of_another_one() {
    let (network, mut streams) = Network::new(small().memory_budget(32 * 1024));
    let client = network.builder().connect().await.unwrap();
    let mut evicted = streams.recv().await.unwrap();
    cut(&client, &network).await;
    wait_for_bytes(&mut evicted);
    let sessions = network.sessions();
    let (mut io, _accept) = accepting(&sessions);
    soon(welcomed(&mut io)).await;
    soon(sessions.shutdown(Duration::ZERO)).await;
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_at_a_shutdown_keeps_no_session_alive() {
    let (network, mut streams) = Network::new(small());
    let mut all = Vec::new();
    for _ in 0..10 {
        let client = network.builder().connect().await.unwrap();
        let mut server = streams.recv().await.unwrap();
        wait_for_bytes(&mut server);
        all.push((client, server));
    }
    soon(network.sessions().shutdown(Duration::ZERO)).await;
    assert!(network.sessions().is_empty());
}

/// A connection whose drop panics.
struct DropPanics(DuplexStream);

impl Drop for DropPanics {
    fn drop(&mut self) {
        assert!(thread::panicking(), "of a drop, as the test wants it");
    }
}

impl AsyncRead for DropPanics {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for DropPanics {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[test]
fn a_drop_that_panics_of_a_connection_that_a_dropped_driver_has_not_taken_keeps_no_session() {
    let (first, second) = (runtime(), runtime());
    let sessions = Sessions::new(small());
    let (_stream, _old, credentials) = first.block_on(begin(&sessions));
    let resume = async {
        let (mut client, server) = duplex(4096);
        client.write_all(&credentials.resume(1)).await.unwrap();
        sessions.accept(DropPanics(server)).await.unwrap();
        client
    };
    let _client = second.block_on(soon(resume));
    drop(first);
    assert!(sessions.is_empty());
    second.block_on(soon(sessions.shutdown(Duration::MAX)));
}
