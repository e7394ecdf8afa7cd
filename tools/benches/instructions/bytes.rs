//! Calls on streams of bytes.

use std::hint::black_box;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::named;
use crate::support::chart::Bars;
use crate::support::{Mock, Table, count, ours, stubborn_by, tether};

pub(crate) const KIND: &str = "call";

const FEW: u32 = 1_000;
const MORE: u32 = 101_000;

/// What is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Read,
    Write,
    WriteVectored,
    Flush,
    /// A read while there is nothing to read. It is counted without a bound: this crate remembers
    /// its waker there, so that the other half can wake it.
    Wait,
}

const OPERATIONS: [(&str, Operation); 5] = [
    ("read", Operation::Read),
    ("write", Operation::Write),
    ("vectored write", Operation::WriteVectored),
    ("flush", Operation::Flush),
    ("read that waits", Operation::Wait),
];

/// What it is called on.
#[derive(Clone, Copy)]
enum Stream {
    Bare,
    Ours,
    Stubborn,
    /// It has no vectored write: the default of the trait writes the first buffer alone.
    Tether,
}

const STREAMS: [(&str, Stream); 4] = [
    ("bare", Stream::Bare),
    ("ours", Stream::Ours),
    ("stubborn", Stream::Stubborn),
    ("tether", Stream::Tether),
];

/// Returns what costs too much.
pub(crate) fn compare() -> Result<Vec<String>, String> {
    let mut table = Table::new([
        "instructions a call",
        "bare",
        "extra, this crate",
        "extra, `stubborn-io`",
        "extra, `io-tether`",
        "this crate / `stubborn-io`",
    ]);
    let (mut costly, mut groups) = (Vec::new(), Vec::new());
    for (name, operation) in OPERATIONS {
        let [bare, ours, stubborn, tether] = count_streams(name)?;
        let [our_extra, stubborn_extra, tether_extra] =
            [ours, stubborn, tether].map(|count| count - bare);
        table.push([
            name.to_owned(),
            format!("{bare}"),
            format!("{our_extra:+}"),
            format!("{stubborn_extra:+}"),
            format!("{tether_extra:+}"),
            format!("{:.2}", our_extra / stubborn_extra),
        ]);
        if operation == Operation::Wait {
            continue;
        }
        groups.push((
            name.to_owned(),
            vec![our_extra, stubborn_extra, tether_extra],
        ));
        if 2.0 * our_extra > stubborn_extra {
            costly.push(format!(
                "{name}: expected at most half of {stubborn_extra:+}, got {our_extra:+}"
            ));
        }
    }
    println!("{table}");
    draw(groups).map_err(|error| error.to_string())?;
    Ok(costly)
}

fn draw(groups: Vec<(String, Vec<f64>)>) -> Result<(), Box<dyn std::error::Error>> {
    Bars {
        title: "Extra instructions per call (lower is better)",
        note: "What a stream that reconnects adds to each call on a healthy connection. \
               A system call costs thousands.",
        series: &["reconnecting-stream", "stubborn-io", "io-tether"],
        groups,
    }
    .draw("instructions.svg")
}

/// Instructions a call, on each of the streams.
fn count_streams(operation: &str) -> Result<[f64; 4], String> {
    let mut counts = [0.0; 4];
    for (counted, (stream, _)) in counts.iter_mut().zip(STREAMS) {
        *counted = count(&[KIND, operation, stream], FEW, MORE)?.round();
    }
    Ok(counts)
}

pub(crate) fn be_counted(operation: &str, stream: &str, calls: u32) -> Result<(), String> {
    let operation = named(OPERATIONS, operation)?;
    let waits = operation == Operation::Wait;
    let connection = if waits {
        Mock::silent()
    } else {
        Mock::bringing(&[7; 64])
    };
    let pending = match named(STREAMS, stream)? {
        Stream::Bare => repeat(operation, calls, connection),
        Stream::Ours => repeat(operation, calls, ours(connection)),
        Stream::Stubborn => repeat(operation, calls, stubborn_by(connection)),
        Stream::Tether => repeat(operation, calls, tether(connection)),
    };
    let expected = if waits { calls } else { 0 };
    if pending != expected {
        return Err(format!("expected {expected} pending calls, got {pending}"));
    }
    Ok(())
}

/// Returns how many of the calls were pending.
fn repeat(operation: Operation, calls: u32, stream: impl AsyncRead + AsyncWrite + Unpin) -> u32 {
    let bytes = black_box([7; 16]);
    let slices = [IoSlice::new(&bytes[..8]), IoSlice::new(&bytes[8..])];
    match operation {
        Operation::Read | Operation::Wait => call(calls, stream, |stream, cx| {
            let mut buf = [0; 64];
            let mut buf = ReadBuf::new(&mut buf);
            stream
                .poll_read(cx, &mut buf)
                .map_ok(|()| buf.filled().len())
        }),
        Operation::Write => call(calls, stream, |stream, cx| {
            stream.poll_write(cx, black_box(&bytes))
        }),
        Operation::WriteVectored => call(calls, stream, |stream, cx| {
            stream.poll_write_vectored(cx, black_box(&slices))
        }),
        Operation::Flush => call(calls, stream, AsyncWrite::poll_flush),
    }
}

/// Calls `operation`, and looks at its answer as `.await` and `?` do.
#[inline(never)]
fn call<S: Unpin, T>(
    calls: u32,
    mut stream: S,
    mut operation: impl FnMut(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
) -> u32 {
    let mut cx = Context::from_waker(Waker::noop());
    let mut pending = 0;
    for _ in 0..calls {
        match operation(Pin::new(black_box(&mut stream)), &mut cx) {
            Poll::Ready(Ok(moved)) => drop(black_box(moved)),
            Poll::Ready(Err(error)) => panic!("expected a connection, got {error}"),
            Poll::Pending => pending += 1,
        }
    }
    pending
}
