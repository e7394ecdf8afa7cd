//! Both halves of a split stream complete, whichever polled last, and whichever is gone.
//!
//! The halves are polled as an executor would: only when they were woken. A lost wake-up leaves
//! one unfinished.

mod support;

#[path = "waking/orders.rs"]
mod orders;
#[path = "waking/pair.rs"]
mod pair;
#[path = "waking/runtimes.rs"]
mod runtimes;

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use Half::{Reader, Writer};
use pair::{Half, Pair, Split};
use reconnecting_stream::{Backoff, Connect, Handle, Policy, ReconnectingStream, State};
use support::{Fault, Network, Outcome, Task, Wire, gave_up};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(SECOND))
        .attempt_timeout(3 * SECOND)
        .max_attempts(3)
}

/// A pair that waits on a connection without room and without data.
async fn pair_that_waits(network: &Network, policy: Policy, split: Split) -> (Pair, Handle) {
    let stream = ReconnectingStream::builder(network.connector())
        .policy(policy)
        .connect()
        .await
        .unwrap();
    let handle = stream.handle();
    let mut pair = Pair::split(stream, split);
    network.peer(1).set_room(0);
    pair.poll(Reader);
    pair.poll(Writer);
    (pair, handle)
}

#[tokio::test(start_paused = true)]
async fn a_command_wakes_halves_that_wait_for_a_healthy_connection() {
    for (close, split) in [
        (true, Split::Tokio),
        (false, Split::Tokio),
        (true, Split::Owned),
        (false, Split::Owned),
    ] {
        let network = Network::new();
        let (mut pair, handle) = pair_that_waits(&network, policy(), split).await;
        if close {
            handle.close();
        } else {
            handle.reconnect();
        }
        pair.run().await;
        if !close {
            network.peer(2).send(b"y");
            pair.run().await;
        }
        assert!(pair.reader.result.is_some() && pair.writer.result.is_some());
        assert!(network.peer(1).is_dropped());
    }
}

#[tokio::test(start_paused = true)]
async fn a_healthy_stream_wakes_no_task() {
    for split in Split::ALL {
        let network = Network::new();
        let connected = ReconnectingStream::connect(network.connector()).await;
        let mut pair = Pair::split(connected.unwrap(), split);
        pair.poll(Reader);
        advance(3600 * SECOND).await;
        assert!(!pair.reader.is_woken());
    }
}

/// The half that meets a loss, the other one, and how the stream is split.
fn finders() -> impl Iterator<Item = (Half, Half, Split)> {
    Split::ALL
        .into_iter()
        .flat_map(|split| [(Reader, Writer, split), (Writer, Reader, split)])
}

/// A pair that waits on a connection that is dead, which no task was woken for.
async fn unnoticed_loss(network: &Network, policy: Policy, split: Split) -> Pair {
    let (pair, _) = pair_that_waits(network, policy, split).await;
    network.peer(1).fault_unnoticed(Fault::Reset);
    pair
}

#[tokio::test(start_paused = true)]
async fn giving_up_at_the_loss_itself_wakes_the_other_half() {
    for (finder, other, split) in finders() {
        let network = Network::new();
        let mut pair = unnoticed_loss(&network, policy().max_attempts(0), split).await;
        pair.poll(finder);
        assert!(pair.reader.is_done() != pair.writer.is_done());
        pair.run().await;
        assert!(
            pair.reader.is_done() && pair.writer.is_done(),
            "{other:?} sleeps"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_during_an_outage_wakes_the_reader() {
    for split in Split::ALL {
        let network = Network::new();
        network.otherwise(Outcome::Hangs).script([Outcome::Accepts]);
        let mut pair = unnoticed_loss(&network, policy(), split).await;
        pair.poll(Reader);
        let writer = pair.writer.half.as_mut().unwrap();
        let task = Task::new();
        let shutdown = task.poll(|cx| Pin::new(writer).poll_shutdown(cx));
        assert!(matches!(shutdown, Poll::Ready(Ok(()))));
        assert!(pair.reader.is_woken());
        pair.poll(Reader);
        pair.reader.result.unwrap().unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn a_loss_wakes_the_other_half_immediately() {
    for (finder, other, split) in finders() {
        let network = Network::new();
        let mut pair = unnoticed_loss(&network, policy(), split).await;
        pair.poll(finder);
        let is_woken = match other {
            Reader => pair.reader.is_woken(),
            Writer => pair.writer.is_woken(),
        };
        assert!(is_woken, "the connection took {other:?}'s waker with it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_continues_does_not_wake_its_own_task() {
    let network = Network::new();
    let mut stream = ReconnectingStream::builder(network.connector())
        .policy(Policy::default().backoff(Backoff::none()))
        .connect()
        .await
        .unwrap();
    let task = Task::new();
    let mut buf = [0; 8];
    let mut read = || {
        let mut buf = ReadBuf::new(&mut buf);
        task.poll(|cx| Pin::new(&mut stream).poll_read(cx, &mut buf))
    };
    assert!(read().is_pending());
    network.peer(1).fault(Fault::Reset);
    assert_eq!(task.take_wakes(), 1);
    // It yields before it dials again: that is the one wake-up.
    assert!(read().is_pending());
    assert_eq!(task.take_wakes(), 1);
    // It dials, connects and reads, and has nothing to wake itself for.
    assert!(read().is_pending());
    assert_eq!(task.take_wakes(), 0);
    network.peer(2).send(b"x");
    assert!(read().is_ready());
}

/// A connection that closes its own stream while it is read, and has nothing to read.
struct Meddler(Arc<OnceLock<Handle>>);

impl AsyncRead for Meddler {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(handle) = self.0.get() {
            handle.close();
        }
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_comes_during_a_read_is_executed_by_that_read() {
    let handle = Arc::default();
    let meddler = Meddler(Arc::clone(&handle));
    let connector = || std::future::pending::<io::Result<Meddler>>();
    let mut stream = ReconnectingStream::builder(connector).wrap(meddler);
    handle.set(stream.handle()).unwrap();
    let (task, mut bytes) = (Task::new(), [0; 4]);
    let mut buf = ReadBuf::new(&mut bytes);
    let read = task.poll(|cx| Pin::new(&mut stream).poll_read(cx, &mut buf));
    assert!(read.is_ready());
    assert!(buf.filled().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_handle_keeps_no_task_alive_when_its_stream_is_gone() {
    struct Ignored;
    impl Wake for Ignored {
        fn wake(self: Arc<Self>) {}
    }

    let connector = || std::future::pending::<io::Result<Wire>>();
    let mut stream = ReconnectingStream::builder(connector).lazy();
    let handle = stream.handle();
    let task = Arc::new(Ignored);
    let waker = Waker::from(Arc::clone(&task));
    let mut bytes = [0; 4];
    let mut buf = ReadBuf::new(&mut bytes);
    // The first poll yields, and wakes; the second waits for the attempt.
    for _ in 0..2 {
        let read = Pin::new(&mut stream).poll_read(&mut Context::from_waker(&waker), &mut buf);
        assert!(read.is_pending());
    }
    drop(waker);
    assert_eq!(Arc::strong_count(&task), 2);
    drop(stream);
    assert_eq!(Arc::strong_count(&task), 1);
    assert_eq!(handle.state(), State::Closed);
}
