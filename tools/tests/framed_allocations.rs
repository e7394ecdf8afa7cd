//! What messages allocate: no more than with the `Framed` of `tokio_util`, by the same codec.
//!
//! The allocator counts each thread for itself, so tests may run side by side.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::{AllocationInfo, measure};
use bytes::{Bytes, BytesMut};
use futures::{Sink, Stream};
use reconnecting_stream::{ReconnectingFramed, Resend};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// Bytes of a message, and how many of them.
const SMALL: (usize, usize) = (64, 10_000);
const LARGE: (usize, usize) = (32 * 1024, 1_000);

/// What the codec puts before each message.
const HEADER: usize = 4;

/// What a connection takes or brings in one call, as a socket's buffer might.
const CHUNK: usize = 16 * 1024;

/// Is always ready: takes what it is given, and brings messages of one size, without an end.
/// Allocates nothing by itself.
#[derive(Debug)]
struct Connection {
    /// One message, encoded.
    message: Vec<u8>,
    /// How much of it was brought.
    brought: usize,
}

impl Connection {
    fn new(size: usize) -> Self {
        let mut message = u32::try_from(size).unwrap().to_be_bytes().to_vec();
        message.resize(HEADER + size, 7);
        Self {
            message,
            brought: 0,
        }
    }

    /// Never brings anything: a sink has nothing to find when it looks for the end.
    fn silent() -> Self {
        Self {
            message: Vec::new(),
            brought: 0,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.message.is_empty() {
            return Poll::Pending;
        }
        let mut left = buf.remaining().min(CHUNK);
        while left > 0 {
            let rest = &self.message[self.brought..];
            let n = rest.len().min(left);
            buf.put_slice(&rest[..n]);
            left -= n;
            self.brought = (self.brought + n) % self.message.len();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len().min(CHUNK)))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn bare(connection: Connection) -> Framed<Connection, LengthDelimitedCodec> {
    Framed::new(connection, LengthDelimitedCodec::new())
}

type Ours = ReconnectingFramed<fn() -> Ready<io::Result<Connection>>, LengthDelimitedCodec>;

fn ours(connection: Connection, resend: Resend) -> Ours {
    let connector = || ready(Err(io::ErrorKind::ConnectionRefused.into()));
    ReconnectingFramed::builder(connector as fn() -> _, LengthDelimitedCodec::new())
        .resend(resend)
        .wrap(connection)
}

/// How the messages go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flushes {
    /// After each of them, as `send` does.
    Each,
    /// After all of them, as `feed` and `flush` do.
    Once,
}

fn send<S>(sink: &mut S, message: &Bytes, messages: usize, flushes: Flushes)
where
    S: Sink<Bytes, Error = io::Error> + Unpin,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut sink = Pin::new(sink);
    for left in (0..messages).rev() {
        assert!(matches!(
            sink.as_mut().poll_ready(&mut cx),
            Poll::Ready(Ok(()))
        ));
        sink.as_mut().start_send(message.clone()).unwrap();
        if flushes == Flushes::Each || left == 0 {
            assert!(matches!(
                sink.as_mut().poll_flush(&mut cx),
                Poll::Ready(Ok(()))
            ));
        }
    }
}

fn receive<S>(stream: &mut S, size: usize, messages: usize)
where
    S: Stream<Item = io::Result<BytesMut>> + Unpin,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut stream = Pin::new(stream);
    for _ in 0..messages {
        match stream.as_mut().poll_next(&mut cx) {
            Poll::Ready(Some(Ok(message))) => assert_eq!(message.len(), size),
            other => panic!("expected a message, got {other:?}"),
        }
    }
}

/// What `work` allocates when buffers have grown. Once does not do: a flush in the middle leaves
/// a buffer that begins elsewhere, and may have to grow once more.
fn count_warm(mut work: impl FnMut()) -> AllocationInfo {
    for _ in 0..4 {
        work();
    }
    measure(work)
}

fn count_sent<S>(mut sink: S, (size, messages): (usize, usize), flushes: Flushes) -> AllocationInfo
where
    S: Sink<Bytes, Error = io::Error> + Unpin,
{
    let message = Bytes::from(vec![7; size]);
    count_warm(|| send(&mut sink, &message, messages, flushes))
}

fn count_received<S>(mut stream: S, (size, messages): (usize, usize)) -> AllocationInfo
where
    S: Stream<Item = io::Result<BytesMut>> + Unpin,
{
    count_warm(|| receive(&mut stream, size, messages))
}

fn assert_no_more(what: &str, ours: AllocationInfo, bare: AllocationInfo) {
    println!(
        "{what}: ours {} of {} bytes, bare {} of {} bytes",
        ours.count_total, ours.bytes_total, bare.count_total, bare.bytes_total
    );
    assert!(
        ours.count_total <= bare.count_total,
        "{what}: expected at most {}, got {}",
        bare.count_total,
        ours.count_total
    );
}

#[test]
fn a_sink_allocates_no_more_than_framed() {
    for sizes in [SMALL, LARGE] {
        for flushes in [Flushes::Each, Flushes::Once] {
            let connection = Connection::silent;
            let our_count = count_sent(ours(connection(), Resend::Torn), sizes, flushes);
            let bare_count = count_sent(bare(connection()), sizes, flushes);
            assert_no_more(
                &format!("sent {sizes:?} {flushes:?}"),
                our_count,
                bare_count,
            );
        }
    }
}

#[test]
fn a_stream_allocates_no_more_than_framed() {
    for sizes in [SMALL, LARGE] {
        let connection = || Connection::new(sizes.0);
        let our_count = count_received(ours(connection(), Resend::Torn), sizes);
        let bare_count = count_received(bare(connection()), sizes);
        assert_no_more(&format!("received {sizes:?}"), our_count, bare_count);
    }
}

#[test]
fn messages_that_are_confirmed_allocate_no_more_than_framed() {
    for (size, messages) in [SMALL, LARGE] {
        let message = Bytes::from(vec![7; size]);
        let mut sink = ours(
            Connection::silent(),
            Resend::Unconfirmed {
                max_bytes: 256 * 1024,
            },
        );
        let our_count = count_warm(|| {
            for _ in 0..messages {
                send(&mut sink, &message, 1, Flushes::Each);
                sink.confirm(1);
            }
        });
        let bare_count = count_sent(bare(Connection::silent()), (size, messages), Flushes::Each);
        let what = format!("confirmed {:?}", (size, messages));
        assert_no_more(&what, our_count, bare_count);
    }
}
