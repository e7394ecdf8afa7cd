//! What calls and messages allocate. The tests `allocations` and `framed_allocations` check it;
//! this prints it, in Markdown.

mod support;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use futures::{Sink, Stream};
use reconnecting_stream::{Backoff, Policy, ReconnectingFramed, ReconnectingStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use support::{Mock, Table, encoded, is_debug_build, machine, ours, stubborn_by};

const CALLS: usize = 10_000;
const LOSSES: usize = 100;

fn main() {
    if is_debug_build() {
        return;
    }
    println!("{}\n", machine());
    print_calls();
    print_messages();
    print_reconnects();
}

fn print_calls() {
    let mut table = Table::new([
        &format!("allocations in {CALLS} calls"),
        "bare",
        "this crate",
        "`stubborn-io`",
    ]);
    let bare = count_calls(Mock::bringing(&[7; 64]));
    let our = count_calls(ours(Mock::bringing(&[7; 64])));
    let theirs = count_calls(stubborn_by(Mock::bringing(&[7; 64])));
    for (i, name) in ["read", "write", "vectored write", "flush"]
        .iter()
        .enumerate()
    {
        table.push([
            (*name).to_owned(),
            bare[i].to_string(),
            our[i].to_string(),
            theirs[i].to_string(),
        ]);
    }
    println!("{table}");
}

/// Of reads, writes, vectored writes and flushes.
fn count_calls(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> [u64; 4] {
    let mut stream = Pin::new(&mut stream);
    let slices = [IoSlice::new(b"vec"), IoSlice::new(b"tored")];
    [
        count(CALLS, |cx| {
            let mut buf = [0; 64];
            let read = stream.as_mut().poll_read(cx, &mut ReadBuf::new(&mut buf));
            read.is_ready()
        }),
        count(CALLS, |cx| {
            stream.as_mut().poll_write(cx, b"write").is_ready()
        }),
        count(CALLS, |cx| {
            stream.as_mut().poll_write_vectored(cx, &slices).is_ready()
        }),
        count(CALLS, |cx| stream.as_mut().poll_flush(cx).is_ready()),
    ]
}

fn print_messages() {
    let mut table = Table::new([
        &format!("allocations in {CALLS} messages"),
        "`Framed`",
        "this crate",
    ]);
    for size in [64, 32 * 1024] {
        let bare = |mock| Framed::new(mock, LengthDelimitedCodec::new());
        let ours = |mock| {
            let never = || std::future::pending();
            ReconnectingFramed::builder(never, LengthDelimitedCodec::new()).wrap(mock)
        };
        let arriving = || Mock::bringing(&encoded(size));
        table.push([
            format!("send {size} B"),
            count_sent(bare(Mock::silent()), size).to_string(),
            count_sent(ours(Mock::silent()), size).to_string(),
        ]);
        table.push([
            format!("receive {size} B"),
            count_received(bare(arriving())).to_string(),
            count_received(ours(arriving())).to_string(),
        ]);
    }
    println!("{table}");
}

fn count_sent(mut sink: impl Sink<Bytes> + Unpin, size: usize) -> u64 {
    let message = Bytes::from(vec![7; size]);
    let mut sink = Pin::new(&mut sink);
    count(CALLS, |cx| {
        let is_ready = sink.as_mut().poll_ready(cx).is_ready();
        let is_taken = sink.as_mut().start_send(message.clone()).is_ok();
        is_ready && is_taken && sink.as_mut().poll_flush(cx).is_ready()
    })
}

fn count_received<E>(mut stream: impl Stream<Item = Result<BytesMut, E>> + Unpin) -> u64 {
    let mut stream = Pin::new(&mut stream);
    count(CALLS, |cx| {
        matches!(stream.as_mut().poll_next(cx), Poll::Ready(Some(Ok(_))))
    })
}

/// After as many calls that let the buffers grow.
fn count(calls: usize, mut call: impl FnMut(&mut Context<'_>) -> bool) -> u64 {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..calls {
        assert!(call(&mut cx), "the connection is always ready");
    }
    let allocations = measure(|| {
        for _ in 0..calls {
            assert!(call(&mut cx), "the connection is always ready");
        }
    });
    allocations.count_total
}

fn print_reconnects() {
    let policy = Policy::default()
        .backoff(Backoff::none())
        .max_attempts(None);
    let connector = || std::future::ready(Ok(OneByte { is_there: true }));
    let ended = OneByte { is_there: false };
    let mut stream = ReconnectingStream::builder(connector)
        .policy(policy)
        .wrap(ended);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("there is room for a runtime");
    let allocations = measure(|| {
        runtime.block_on(async {
            for _ in 0..LOSSES {
                stream.read_u8().await.expect("the next connection");
            }
        });
    });
    let each = |total: u64| format!("{:.1}", total as f64 / LOSSES as f64);
    let mut table = Table::new(["a reconnect", "allocations", "bytes"]);
    table.push([
        format!("the average of {LOSSES}"),
        each(allocations.count_total),
        each(allocations.bytes_total),
    ]);
    println!("{table}");
}

/// Brings one byte, then ends.
#[derive(Debug)]
struct OneByte {
    is_there: bool,
}

impl AsyncRead for OneByte {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_there {
            buf.put_slice(&[7]);
        }
        self.is_there = false;
        Poll::Ready(Ok(()))
    }
}
