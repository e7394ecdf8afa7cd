//! The owned halves of a stream: what they share, and what one does to the other.

#[path = "owned_halves/nested.rs"]
mod nested;
mod support;

use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use reconnecting_stream::{
    Backoff, Connect, Policy, ReconnectingReadHalf, ReconnectingStream, ReconnectingWriteHalf,
    Seam, State,
};
use support::{Network, Outcome, Task, Wire, lost};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

async fn stream(
    network: &Network,
    seam: Seam,
) -> ReconnectingStream<impl Connect<Io = Wire> + use<>> {
    let policy = Policy::default().backoff(Backoff::constant(SECOND));
    let builder = ReconnectingStream::builder(network.connector())
        .policy(policy.max_attempts(5))
        .seam(seam);
    builder.connect().await.unwrap()
}

fn poll_read(
    task: &Task,
    reader: &mut (impl AsyncRead + Unpin),
    buf: &mut [u8],
) -> Poll<io::Result<()>> {
    task.poll(|cx| Pin::new(&mut *reader).poll_read(cx, &mut ReadBuf::new(buf)))
}

#[tokio::test(start_paused = true)]
async fn each_half_gets_the_error_of_a_seam_once() {
    for reader_first in [true, false] {
        let network = Network::new();
        let (mut reader, mut writer) = stream(&network, Seam::Error).await.into_split();
        network.peer(1).reset();
        let (read, written) = if reader_first {
            let read = reader.read(&mut [0; 4]).await.map(drop);
            (read, writer.write(b"x").await.map(drop))
        } else {
            let written = writer.write(b"x").await.map(drop);
            (reader.read(&mut [0; 4]).await.map(drop), written)
        };
        for error in [read.unwrap_err(), written.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert_eq!(lost(&error).unwrap().generation, 1);
        }
        writer.write_all(b"x").await.unwrap();
        network.peer(2).send(b"y");
        assert_eq!(reader.read_u8().await.unwrap(), b'y');
        assert_eq!(network.peer(2).received(), b"x");
    }
}

#[tokio::test(start_paused = true)]
async fn both_halves_may_wait_for_a_connection() {
    let network = Network::new();
    network.otherwise(Outcome::AcceptsAfter(SECOND));
    let (mut reader, mut writer) = stream(&network, Seam::Hidden).await.into_split();
    network.peer(1).reset();
    assert!(timeout(SECOND / 2, reader.read_u8()).await.is_err());
    let (read, written) = tokio::join!(reader.connected(), writer.connected());
    assert_eq!((read.unwrap(), written.unwrap()), (2, 2));
    assert_eq!(reader.state(), State::Connected { generation: 2 });
    writer.handle().close();
    for error in [reader.connected().await, writer.connected().await] {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotConnected);
    }
}

#[tokio::test(start_paused = true)]
async fn each_half_that_waits_for_a_connection_is_woken() {
    let network = Network::new();
    network.otherwise(Outcome::AcceptsAfter(SECOND));
    let (mut reader, mut writer) = stream(&network, Seam::Hidden).await.into_split();
    network.peer(1).reset();
    assert!(timeout(SECOND / 2, reader.read_u8()).await.is_err());
    let [reading, writing] = [Task::new(), Task::new()];
    let (mut read, mut written) = (pin!(reader.connected()), pin!(writer.connected()));
    assert!(reading.poll_future(read.as_mut()).is_pending());
    assert!(writing.poll_future(written.as_mut()).is_pending());
    reading.take_wakes();
    sleep(SECOND).await;
    assert!(
        reading.is_woken() && writing.is_woken(),
        "the backoff is over"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_its_writing_half_reads_and_reconnects() {
    let network = Network::new();
    let (mut reader, writer) = stream(&network, Seam::Hidden).await.into_split();
    drop(writer);
    assert!(timeout(SECOND, reader.read_u8()).await.is_err());
    assert!(!network.peer(1).is_shut_down());
    network.peer(1).reset();
    assert!(timeout(2 * SECOND, reader.read_u8()).await.is_err());
    network.peer(2).send(b"y");
    assert_eq!(reader.read_u8().await.unwrap(), b'y');
    drop(reader);
    assert!(network.peer(2).is_dropped());
}

#[tokio::test(start_paused = true)]
async fn halves_of_one_stream_are_reunited_and_others_are_returned() {
    let network = Network::new();
    let dial = || stream(&network, Seam::Hidden);
    let (reader, writer) = dial().await.into_split();
    let (_, other) = dial().await.into_split();
    let error = reader.reunite(other).unwrap_err();
    let text = "tried to reunite the halves of two streams";
    assert_eq!(error.to_string(), text);
    let mut stream = error.0.reunite(writer).unwrap();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(network.peer(1).received(), b"x");
}

/// A connection that runs a function while it is read.
struct Hooked(Arc<Mutex<Hook>>);

type Hook = Box<dyn FnMut() -> Poll<io::Result<()>> + Send>;

impl AsyncRead for Hooked {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut hook = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hook()
    }
}

impl AsyncWrite for Hooked {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, b: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(b.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

type Dial = fn() -> std::future::Pending<io::Result<Hooked>>;

/// Halves of a stream that runs `hook` in each read, which may use the writing half.
fn hooked() -> (
    Arc<Mutex<Hook>>,
    ReconnectingReadHalf<Dial>,
    ReconnectingWriteHalf<Dial>,
) {
    let hook: Hook = Box::new(|| Poll::Pending);
    let hook = Arc::new(Mutex::new(hook));
    let dial: Dial = std::future::pending;
    let builder = ReconnectingStream::builder(dial);
    let (reader, writer) = builder.wrap(Hooked(Arc::clone(&hook))).into_split();
    (hook, reader, writer)
}

#[tokio::test(start_paused = true)]
async fn a_half_that_is_polled_in_a_poll_of_the_other_one_waits_for_its_end() {
    let (hook, mut reader, writer) = hooked();
    let (task, outer) = (Arc::new(Task::new()), Task::new());
    let writer = Arc::new(Mutex::new(writer));
    let (in_hook, in_task) = (Arc::clone(&writer), Arc::clone(&task));
    *hook.lock().unwrap() = Box::new(move || {
        let mut writer = in_hook.lock().unwrap();
        let written = in_task.poll(|cx| Pin::new(&mut *writer).poll_write(cx, b"x"));
        assert!(written.is_pending(), "a thread would wait for itself");
        assert!(!writer.is_write_vectored());
        assert_eq!(in_task.take_wakes(), 0);
        Poll::Pending
    });
    assert!(poll_read(&outer, &mut reader, &mut [0; 4]).is_pending());
    assert_eq!(task.take_wakes(), 1, "the lock is free");
    let mut writer = writer.lock().unwrap();
    let written = task.poll(|cx| Pin::new(&mut *writer).poll_write(cx, b"x"));
    assert!(matches!(written, Poll::Ready(Ok(1))));
    assert_eq!((task.take_wakes(), outer.take_wakes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_one_half_leaves_the_other_one_usable() {
    let (hook, mut reader, mut writer) = hooked();
    *hook.lock().unwrap() = Box::new(|| panic!("a bug of the connection"));
    let task = Task::new();
    let read = || poll_read(&task, &mut reader, &mut [0; 4]).is_ready();
    assert!(catch_unwind(AssertUnwindSafe(read)).is_err());

    writer.write_all(b"x").await.unwrap();
    *hook.lock().unwrap_or_else(PoisonError::into_inner) =
        Box::new(|| Poll::Ready(Err(ErrorKind::InvalidData.into())));
    let error = reader.read(&mut [0; 4]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let mut stream = reader.reunite(writer).unwrap();
    let flushed = pin!(stream.flush());
    assert!(task.poll_future(flushed).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_half_that_panicked_while_the_other_one_waited_wakes_it() {
    let (hook, mut reader, writer) = hooked();
    let task = Arc::new(Task::new());
    let writer = Arc::new(Mutex::new(writer));
    let (in_hook, in_task) = (Arc::clone(&writer), Arc::clone(&task));
    *hook.lock().unwrap() = Box::new(move || {
        {
            let mut writer = in_hook.lock().unwrap();
            let written = in_task.poll(|cx| Pin::new(&mut *writer).poll_write(cx, b"x"));
            assert!(written.is_pending());
        }
        panic!("a bug of the connection")
    });
    let outer = Task::new();
    let read = || poll_read(&outer, &mut reader, &mut [0; 4]).is_ready();
    assert!(catch_unwind(AssertUnwindSafe(read)).is_err());
    assert_eq!(task.take_wakes(), 1);
    let mut writer = writer.lock().unwrap();
    let written = task.poll(|cx| Pin::new(&mut *writer).poll_write(cx, b"x"));
    assert!(written.is_ready());
}
