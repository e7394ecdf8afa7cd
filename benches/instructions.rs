//! What a call costs over the bare connection, in instructions: ours beside that of `stubborn-io`.
//!
//! Instructions, since at a socket a wrapper is below the noise of a clock. Needs `valgrind`.
//! Fails if what this crate adds to a read, a write, a vectored write or a flush is more than half
//! of what `stubborn-io` adds. A read that has to wait is counted without a bound: this crate
//! remembers its waker there, so that the other half can wake it.
//!
//! The counts are those of Cargo's default release profile. With `lto` or `codegen-units = 1` the
//! compiler inlines `stubborn-io` too, and its share shrinks.

use std::env;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::process::{Command, ExitCode, Output};
use std::task::{Context, Poll, Waker};

use reconnecting_stream::ReconnectingStream;
use stubborn_io::tokio::{StubbornIo, UnderlyingIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The first of two runs. What the second one takes more is without the start of the process.
const FEW_CALLS: u64 = 1_000;
const MORE_CALLS: u64 = 101_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let outcome = match arguments.as_slice() {
        [operation, stream, calls] => run(operation, stream, calls),
        // As `cargo test --all-targets` does.
        _ if cfg!(debug_assertions) => {
            eprintln!("nothing is counted in a debug build: use `cargo bench`");
            Ok(())
        }
        _ => compare(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// What is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Read,
    Write,
    WriteVectored,
    Flush,
    /// A read while there is nothing to read.
    Wait,
}

const OPERATIONS: [(&str, Operation); 5] = [
    ("read", Operation::Read),
    ("write", Operation::Write),
    ("vectored write", Operation::WriteVectored),
    ("flush", Operation::Flush),
    ("waiting read", Operation::Wait),
];

/// What it is called on.
#[derive(Clone, Copy)]
enum Stream {
    Bare,
    Ours,
    Stubborn,
}

const STREAMS: [(&str, Stream); 3] = [
    ("bare", Stream::Bare),
    ("ours", Stream::Ours),
    ("stubborn", Stream::Stubborn),
];

/// Counts all of it, and judges.
fn compare() -> Result<(), String> {
    println!("instructions a call, over the same connection");
    println!("operation         bare        ours    stubborn   ratio");
    let mut costly = Vec::new();
    for (name, operation) in OPERATIONS {
        let [bare, ours, stubborn] = count(name)?;
        let [our_extra, stubborn_extra] = [ours - bare, stubborn - bare];
        let ratio = our_extra / stubborn_extra;
        println!(
            "{name:16} {bare:5} {ours:5} {our_extra:+5} {stubborn:5} {stubborn_extra:+5} {ratio:7.2}"
        );
        if operation != Operation::Wait && 2.0 * our_extra > stubborn_extra {
            costly.push(format!(
                "{name}: expected at most half of {stubborn_extra:+}, got {our_extra:+}"
            ));
        }
    }
    match costly.as_slice() {
        [] => Ok(()),
        _ => Err(costly.join("\nerror: ")),
    }
}

/// Instructions a call, on each of the streams.
fn count(operation: &str) -> Result<[f64; 3], String> {
    let mut counts = [0.0; 3];
    for (count, (stream, _)) in counts.iter_mut().zip(STREAMS) {
        let few = count_run(operation, stream, FEW_CALLS)?;
        let more = count_run(operation, stream, MORE_CALLS)?;
        *count = ((more - few) / (MORE_CALLS - FEW_CALLS) as f64).round();
    }
    Ok(counts)
}

/// Instructions of a process that does nothing but these calls.
fn count_run(operation: &str, stream: &str, calls: u64) -> Result<f64, String> {
    let itself = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(itself)
        .args([operation, stream, &calls.to_string()])
        .output()
        .map_err(|error| format!("valgrind, which counts, can't be run: {error}"))?;
    collected(&output).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("expected a count, valgrind gave {}:\n{said}", output.status)
    })
}

/// The count in `==1== Collected : 123`.
fn collected(output: &Output) -> Option<f64> {
    if !output.status.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let (_, rest) = said.split_once("Collected : ")?;
    rest.lines().next()?.trim().parse().ok()
}

/// The process that is counted.
fn run(operation: &str, stream: &str, calls: &str) -> Result<(), String> {
    let operation = named(OPERATIONS, operation)?;
    let stream = named(STREAMS, stream)?;
    let calls = calls
        .parse()
        .map_err(|_| format!("expected a number of calls, got {calls}"))?;
    let has_data = operation != Operation::Wait;
    let pending = match stream {
        Stream::Bare => repeat(operation, calls, Connection { has_data }),
        Stream::Ours => repeat(operation, calls, ours(has_data)),
        Stream::Stubborn => repeat(operation, calls, stubborn(has_data)),
    };
    let expected = if has_data { 0 } else { calls };
    if pending != expected {
        return Err(format!("expected {expected} pending calls, got {pending}"));
    }
    Ok(())
}

fn named<T, const N: usize>(all: [(&str, T); N], name: &str) -> Result<T, String> {
    let names = all.each_ref().map(|(name, _)| *name);
    all.into_iter()
        .find_map(|(known, value)| (known == name).then_some(value))
        .ok_or_else(|| format!("expected one of {names:?}, got {name}"))
}

fn ours(has_data: bool) -> ReconnectingStream<fn() -> Ready<io::Result<Connection>>> {
    let connector = || ready(Err(io::ErrorKind::ConnectionRefused.into()));
    ReconnectingStream::builder(connector as fn() -> _).wrap(Connection { has_data })
}

fn stubborn(has_data: bool) -> StubbornIo<Connection, bool> {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(StubbornIo::connect(has_data)).poll(&mut cx) {
        Poll::Ready(Ok(stream)) => stream,
        Poll::Ready(Err(_)) | Poll::Pending => unreachable!("the connection is ready"),
    }
}

/// Returns how many of the calls were pending.
fn repeat(operation: Operation, calls: u64, stream: impl AsyncRead + AsyncWrite + Unpin) -> u64 {
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
    calls: u64,
    mut stream: S,
    mut operation: impl FnMut(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
) -> u64 {
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

/// Does next to nothing, in a way that no optimizer sees through.
#[derive(Debug)]
struct Connection {
    has_data: bool,
}

impl AsyncRead for Connection {
    #[inline(never)]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !black_box((self, cx)).0.has_data {
            return black_box(Poll::Pending);
        }
        buf.put_slice(black_box(&[7; 16]));
        black_box(Poll::Ready(Ok(())))
    }
}

impl AsyncWrite for Connection {
    #[inline(never)]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        black_box((self, cx));
        black_box(Poll::Ready(Ok(buf.len())))
    }

    #[inline(never)]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        black_box((self, cx));
        black_box(Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum())))
    }

    #[inline(never)]
    fn is_write_vectored(&self) -> bool {
        black_box(true)
    }

    #[inline(never)]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        black_box((self, cx));
        black_box(Poll::Ready(Ok(())))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl UnderlyingIo<bool> for Connection {
    fn establish(has_data: bool) -> Pin<Box<dyn Future<Output = io::Result<Self>> + Send>> {
        Box::pin(ready(Ok(Self { has_data })))
    }
}
