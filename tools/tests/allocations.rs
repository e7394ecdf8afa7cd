//! What the stream allocates: nothing while it moves data, next to nothing for a reconnect.
//!
//! The allocator counts each thread for itself, so tests may run side by side.
#![cfg(unix)]

use std::future::{Future, Ready, poll_fn, ready};
use std::hint::black_box;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use reconnecting_stream::{Backoff, Policy, ReconnectingStream, State};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// What a stream may take, besides its connection: on the heap and in itself.
const MOST_KEPT: usize = 480;
/// One of them is the timer of an attempt that waits.
const MOST_FOR_A_RECONNECT: u64 = 4;

/// Reads and writes for a while, then fails. Allocates nothing.
struct Connection {
    reads: usize,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.reads == 0 {
            return Poll::Ready(Err(io::Error::from_raw_os_error(libc::ECONNRESET)));
        }
        self.reads -= 1;
        buf.put_slice(&[7]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Every connection is good for one read. The connector allocates nothing either.
fn one_read_each() -> Ready<io::Result<Connection>> {
    ready(Ok(Connection { reads: 1 }))
}

/// Counts what `poll` allocates in 10,000 calls, all of which are ready.
fn count_calls<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>) -> u64 {
    let mut cx = Context::from_waker(Waker::noop());
    let allocations = measure(|| {
        for _ in 0..10_000 {
            assert!(matches!(poll(&mut cx), Poll::Ready(Ok(_))));
        }
    });
    allocations.count_total
}

/// Awaits `future`, and counts what its polls allocate; not what the runtime does in between.
async fn count_polls<T>(future: impl Future<Output = T>) -> (T, AllocationInfo) {
    let mut future = pin!(future);
    let mut allocations = AllocationInfo::default();
    let output = poll_fn(|cx| {
        let mut polled = Poll::Pending;
        allocations += measure(|| polled = future.as_mut().poll(cx));
        polled
    });
    (output.await, allocations)
}

/// The heap it keeps, and what it is larger than its connection.
fn bytes_kept<S, Io>(_stream: &S, allocations: AllocationInfo) -> usize {
    let heap = usize::try_from(allocations.bytes_current).unwrap();
    heap + size_of::<S>() - size_of::<Io>()
}

#[test]
fn the_counter_counts_allocations() {
    let allocations = measure(|| drop(black_box(Box::new([0_u8; 24]))));
    assert_eq!(allocations.count_total, 1);
    assert_eq!(allocations.bytes_total, 24);
    assert_eq!(allocations.bytes_current, 0);
}

#[test]
fn the_ready_path_allocates_nothing() {
    let connection = Connection { reads: 10_000 };
    let mut stream = ReconnectingStream::builder(one_read_each).wrap(connection);
    let mut stream = Pin::new(&mut stream);
    let slices = [IoSlice::new(b"vec"), IoSlice::new(b"tored")];

    let reads = count_calls(|cx| {
        let mut buf = [0; 8];
        stream.as_mut().poll_read(cx, &mut ReadBuf::new(&mut buf))
    });
    let writes = count_calls(|cx| stream.as_mut().poll_write(cx, b"write"));
    let vectored = count_calls(|cx| stream.as_mut().poll_write_vectored(cx, &slices));
    let flushes = count_calls(|cx| stream.as_mut().poll_flush(cx));

    assert_eq!([reads, writes, vectored, flushes], [0; 4]);
    assert_eq!(stream.state(), State::Connected { generation: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_allocates_at_most_three_times_and_leaves_nothing_behind() {
    let mut stream = ReconnectingStream::builder(one_read_each).wrap(Connection { reads: 0 });
    for generation in 2..12 {
        // Every other loss begins an outage, the others continue it.
        if generation % 2 == 0 {
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
        let (read, allocations) = count_polls(stream.read_u8()).await;
        read.unwrap();
        println!("a reconnect to connection {generation}: {allocations:?}");
        assert_eq!(stream.state(), State::Connected { generation });
        assert!((1..MOST_FOR_A_RECONNECT).contains(&allocations.count_total));
        assert_eq!(allocations.bytes_current, 0);
    }
}

/// An attempt that is ready at its second poll. It allocates nothing.
struct Waits(bool);

impl Future for Waits {
    type Output = io::Result<Connection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(Ok(Connection { reads: 1 }));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_whose_attempt_waits_allocates_at_most_four_times() {
    let connection = Connection { reads: 0 };
    // Too short for the log line of a long outage, which takes one more.
    let backoff = Backoff::constant(Duration::from_millis(100));
    let mut stream = ReconnectingStream::builder(|| Waits(false))
        .policy(Policy::default().backoff(backoff))
        .wrap(connection);
    for _ in 2..12 {
        let (read, allocations) = count_polls(stream.read_u8()).await;
        read.unwrap();
        assert!(
            (1..=MOST_FOR_A_RECONNECT).contains(&allocations.count_total),
            "{allocations:?}"
        );
        assert_eq!(allocations.bytes_current, 0);
    }
}

#[tokio::test]
async fn a_connect_keeps_at_most_480_bytes() {
    let (stream, allocations) = count_polls(ReconnectingStream::connect(one_read_each)).await;
    let kept = bytes_kept::<_, Connection>(&stream.unwrap(), allocations);

    println!("a stream keeps {kept} bytes: {allocations:?}");
    assert!(kept <= MOST_KEPT, "{kept}");
}

#[tokio::test]
async fn a_stream_keeps_at_most_480_bytes_besides_its_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = TcpStream::connect(address).await.unwrap();

    let mut wrapped = None;
    let allocations = measure(|| {
        let builder = ReconnectingStream::builder(move || TcpStream::connect(address));
        wrapped = Some(builder.wrap(socket));
    });
    let kept = bytes_kept::<_, TcpStream>(&wrapped.unwrap(), allocations);

    println!("a stream keeps {kept} bytes besides its socket: {allocations:?}");
    assert!(kept <= MOST_KEPT, "{kept}");
}
