//! Foreign code that panics, and the other sessions of its server.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use reconnecting_stream::ResumableStream;
use tokio::io::{AsyncRead, ReadBuf};

use crate::support::{Network, accepting, cut, small, soon};
use crate::wire::welcomed;

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
