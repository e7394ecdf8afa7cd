//! Messages over loopback TCP: the throughput of `ReconnectingFramed` beside that of the `Framed`
//! of `tokio_util`, by the same codec.
//!
//! Each run is one runtime of one thread with both ends in it, since two threads are bimodal. The
//! other end only moves bytes. A round is a bare run, one of ours and a second bare one, the
//! control: what the two bare ones differ by is the noise. A ratio is one of throughputs in the
//! same round, above 1 if faster than the first bare run.
//!
//! Arguments choose rows by words in them: `cargo bench --bench messages -- send 64`.
//!
//! Since the noise of a socket is larger than what a wrapper costs, instructions a message come
//! last, over a connection that does nothing. They need `valgrind`. Nothing is judged.

use std::env;
use std::fmt;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::{Sink, SinkExt, Stream, StreamExt};
use reconnecting_stream::ReconnectingFramed;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

const ROUNDS: usize = 31;

/// What the codec puts before each message.
const HEADER: usize = 4;

/// What the other end reads or writes at once.
const CHUNK: usize = 64 * 1024;

/// The argument that asks for the counts alone, and the one that makes the process that is counted.
const INSTRUCTIONS: &str = "instructions";
const COUNTED: &str = "counted";

/// The first of two runs. What the second one takes more is without the start of the process.
const FEW_MESSAGES: u32 = 1_000;
const MORE_MESSAGES: u32 = 21_000;

/// Where `Framed` writes by default.
const BARE_BOUNDARY: usize = 8 * 1024;

fn main() -> io::Result<()> {
    // As `cargo test --all-targets` does.
    if cfg!(debug_assertions) {
        eprintln!("nothing is measured in a debug build: use `cargo bench`");
        return Ok(());
    }
    let words: Vec<String> = env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    if let [counted, side, way, size, messages] = words.as_slice() {
        if counted == COUNTED {
            return be_counted(side, way, size, messages);
        }
    }
    if words == [INSTRUCTIONS] {
        return print_instructions();
    }
    println!("messages over loopback, {ROUNDS} rounds: medians (lowest to highest)");
    println!(
        "{:46} {:>11} {:>11}   {:22}   bare'/bare",
        "", "bare, 1/s", "ours, 1/s", "ours/bare"
    );
    for case in cases() {
        let name = case.to_string();
        if words.iter().all(|word| name.contains(word)) {
            println!("{name:46} {}", measure(case)?);
        }
    }
    if words.is_empty() {
        print_instructions()?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Send,
    Receive,
}

/// Which of the two is measured.
#[derive(Clone, Copy)]
enum Side {
    Bare,
    Ours,
}

/// How much a sink collects before it writes.
#[derive(Clone, Copy)]
enum Boundary {
    /// What it does if it is not told.
    Default,
    Bytes(usize),
}

#[derive(Clone, Copy)]
struct Case {
    direction: Direction,
    size: usize,
    messages: usize,
    boundary: Boundary,
    nodelay: bool,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (size, messages) in [(64, 100_000), (32 * 1024, 4_000)] {
        for nodelay in [false, true] {
            let case = |direction, boundary| Case {
                direction,
                size,
                messages,
                boundary,
                nodelay,
            };
            cases.push(case(Direction::Send, Boundary::Default));
            cases.push(case(Direction::Send, Boundary::Bytes(BARE_BOUNDARY)));
            cases.push(case(Direction::Receive, Boundary::Default));
        }
    }
    cases
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Send => "send",
            Direction::Receive => "receive",
        };
        write!(f, "{direction} {} B", self.size)?;
        if self.nodelay {
            write!(f, ", nodelay")?;
        }
        match self.boundary {
            Boundary::Default => Ok(()),
            Boundary::Bytes(bytes) => write!(f, ", both collect {bytes} B"),
        }
    }
}

/// What the rounds of a case came to.
struct Row {
    bare: f64,
    ours: f64,
    ratio: Spread,
    control: Spread,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            bare,
            ours,
            ratio,
            control,
        } = self;
        write!(f, "{bare:11.0} {ours:11.0}   {ratio}   {control}")
    }
}

struct Spread {
    median: f64,
    lowest: f64,
    highest: f64,
}

impl Spread {
    /// Of an odd number of values.
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            median: values[values.len() / 2],
            lowest: values[0],
            highest: values[values.len() - 1],
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            median,
            lowest,
            highest,
        } = self;
        write!(f, "{median:.3} ({lowest:.3} to {highest:.3})")
    }
}

fn measure(case: Case) -> io::Result<Row> {
    for side in [Side::Bare, Side::Ours] {
        run(case, side)?;
    }
    let (mut bare, mut ours, mut ratio, mut control) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let first = run(case, Side::Bare)?;
        let our = run(case, Side::Ours)?;
        let second = run(case, Side::Bare)?;
        bare.push(first);
        ours.push(our);
        ratio.push(our / first);
        control.push(second / first);
    }
    Ok(Row {
        bare: Spread::of(bare).median,
        ours: Spread::of(ours).median,
        ratio: Spread::of(ratio),
        control: Spread::of(control),
    })
}

/// Messages a second.
fn run(case: Case, side: Side) -> io::Result<f64> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let taken = runtime.block_on(async {
        let (near, far) = connect(case.nodelay).await?;
        match side {
            Side::Bare => transfer(bare(near, case.boundary), far, case).await,
            Side::Ours => transfer(ours(near, case.boundary), far, case).await,
        }
    })?;
    Ok(case.messages as f64 / taken.as_secs_f64())
}

async fn connect(nodelay: bool) -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let near = TcpStream::connect(listener.local_addr()?).await?;
    let (far, _) = listener.accept().await?;
    near.set_nodelay(nodelay)?;
    far.set_nodelay(nodelay)?;
    Ok((near, far))
}

fn bare<Io>(io: Io, boundary: Boundary) -> Framed<Io, LengthDelimitedCodec>
where
    Io: AsyncRead + AsyncWrite,
{
    let mut framed = Framed::new(io, LengthDelimitedCodec::new());
    if let Boundary::Bytes(bytes) = boundary {
        framed.set_backpressure_boundary(bytes);
    }
    framed
}

type Ours<Io> = ReconnectingFramed<fn() -> Ready<io::Result<Io>>, LengthDelimitedCodec>;

fn ours<Io>(io: Io, boundary: Boundary) -> Ours<Io>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let connector: fn() -> _ = || ready(Err(io::ErrorKind::ConnectionRefused.into()));
    let mut builder = ReconnectingFramed::builder(connector, LengthDelimitedCodec::new());
    if let Boundary::Bytes(bytes) = boundary {
        builder = builder.max_queued(bytes);
    }
    builder.wrap(io)
}

/// Moves some messages first, so that buffers have grown, then times the rest.
async fn transfer<F>(mut framed: F, far: TcpStream, case: Case) -> io::Result<Duration>
where
    F: Sink<Bytes, Error = io::Error> + Stream<Item = io::Result<BytesMut>> + Unpin,
{
    let far = batch(&mut framed, far, case, case.messages / 10).await?;
    let start = Instant::now();
    batch(&mut framed, far, case, case.messages).await?;
    Ok(start.elapsed())
}

/// Until the last byte has arrived.
async fn batch<F>(
    framed: &mut F,
    far: TcpStream,
    case: Case,
    messages: usize,
) -> io::Result<TcpStream>
where
    F: Sink<Bytes, Error = io::Error> + Stream<Item = io::Result<BytesMut>> + Unpin,
{
    match case.direction {
        Direction::Send => {
            let far = tokio::spawn(swallow(far, messages * (HEADER + case.size)));
            let message = Bytes::from(vec![7; case.size]);
            for _ in 0..messages {
                framed.feed(message.clone()).await?;
            }
            framed.flush().await?;
            far.await?
        }
        Direction::Receive => {
            let far = tokio::spawn(emit(far, case.size, messages));
            for _ in 0..messages {
                let message = framed.next().await.ok_or(io::ErrorKind::UnexpectedEof)??;
                assert_eq!(message.len(), case.size);
            }
            far.await?
        }
    }
}

/// Reads so many bytes.
async fn swallow(mut io: TcpStream, bytes: usize) -> io::Result<TcpStream> {
    let mut chunk = vec![0; CHUNK];
    let mut left = bytes;
    while left > 0 {
        match io.read(&mut chunk).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => left -= n,
        }
    }
    Ok(io)
}

/// A message as the codec writes it.
fn encoded(size: usize) -> Vec<u8> {
    let length = u32::try_from(size).expect("a message is shorter than 4 GiB");
    let mut message = length.to_be_bytes().to_vec();
    message.resize(HEADER + size, 7);
    message
}

/// Writes so many messages.
async fn emit(mut io: TcpStream, size: usize, messages: usize) -> io::Result<TcpStream> {
    let message = encoded(size);
    let at_once = (CHUNK / message.len()).max(1);
    let chunk = message.repeat(at_once);
    for _ in 0..messages / at_once {
        io.write_all(&chunk).await?;
    }
    io.write_all(&message.repeat(messages % at_once)).await?;
    Ok(io)
}

fn print_instructions() -> io::Result<()> {
    println!("instructions a message, over a connection that does nothing");
    println!("{:46} {:>11} {:>11}   ours/bare", "", "bare", "ours");
    for size in ["64", "32768"] {
        for way in ["feed", "send", "receive"] {
            let [bare, ours] = [count("bare", way, size)?, count("ours", way, size)?];
            let name = format!("{way} {size} B, both collect {BARE_BOUNDARY} B");
            println!("{name:46} {bare:11.0} {ours:11.0}   {:.3}", ours / bare);
        }
    }
    Ok(())
}

/// Instructions a message.
fn count(side: &str, way: &str, size: &str) -> io::Result<f64> {
    let few = count_run(side, way, size, FEW_MESSAGES)?;
    let more = count_run(side, way, size, MORE_MESSAGES)?;
    Ok((more - few) / f64::from(MORE_MESSAGES - FEW_MESSAGES))
}

/// Instructions of a process that moves so many messages.
fn count_run(side: &str, way: &str, size: &str, messages: u32) -> io::Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args([COUNTED, side, way, size, &messages.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    // `==1== Collected : 123`
    said.split_once("Collected : ")
        .filter(|_| output.status.success())
        .and_then(|(_, rest)| rest.lines().next()?.trim().parse().ok())
        .ok_or_else(|| io::Error::other(format!("expected a count, valgrind gave:\n{said}")))
}

fn be_counted(side: &str, way: &str, size: &str, messages: &str) -> io::Result<()> {
    let size = size.parse().map_err(io::Error::other)?;
    let messages = messages.parse().map_err(io::Error::other)?;
    let boundary = Boundary::Bytes(BARE_BOUNDARY);
    let void = Void::new(way == "receive", size);
    match side {
        "bare" => move_messages(bare(void, boundary), way, size, messages),
        _ => move_messages(ours(void, boundary), way, size, messages),
    }
}

fn move_messages<F>(mut framed: F, way: &str, size: usize, messages: u32) -> io::Result<()>
where
    F: Sink<Bytes, Error = io::Error> + Stream<Item = io::Result<BytesMut>> + Unpin,
{
    let mut cx = Context::from_waker(Waker::noop());
    let message = Bytes::from(vec![7; size]);
    for _ in 0..messages {
        let mut framed = Pin::new(black_box(&mut framed));
        if way == "receive" {
            let message = framed.poll_next(&mut cx);
            assert!(matches!(message, Poll::Ready(Some(Ok(_)))));
            continue;
        }
        assert!(framed.as_mut().poll_ready(&mut cx)?.is_ready());
        framed.as_mut().start_send(message.clone())?;
        if way == "send" {
            assert!(framed.poll_flush(&mut cx)?.is_ready());
        }
    }
    Ok(())
}

/// Takes everything at once, and brings the same bytes in each read, or never any.
struct Void {
    brings: Vec<u8>,
    at: usize,
}

impl Void {
    fn new(brings: bool, size: usize) -> Self {
        let message = if brings { encoded(size) } else { Vec::new() };
        let many = CHUNK.div_ceil(message.len().max(1));
        Self {
            brings: message.repeat(many),
            at: 0,
        }
    }
}

impl AsyncRead for Void {
    #[inline(never)]
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.brings.is_empty() {
            return black_box(Poll::Pending);
        }
        let rest = &self.brings[self.at..];
        let n = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..n]);
        self.at = (self.at + n) % self.brings.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Void {
    #[inline(never)]
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        black_box(Poll::Ready(Ok(black_box(buf).len())))
    }

    #[inline(never)]
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        black_box(Poll::Ready(Ok(())))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
