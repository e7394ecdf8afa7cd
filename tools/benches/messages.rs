//! Messages over loopback TCP: the throughput of `ReconnectingFramed` beside that of the `Framed`
//! of `tokio_util`, by the same codec.
//!
//! Each run is one runtime of one thread with both ends in it, since two threads are bimodal. The
//! other end only moves bytes. A round is a bare run, one of ours and a second bare one, the
//! control: what the two bare ones differ by is the noise. A ratio is one of throughputs in the
//! same round, above 1 if faster than the first bare run.
//!
//! Prints a table in Markdown. Arguments choose rows by words in them:
//! `cargo bench --bench messages -- send 64`. Nothing is checked: the noise of a socket is larger
//! than what a wrapper costs, which `instructions` counts.

mod support;

use std::fmt;
use std::future::{Ready, ready};
use std::io;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::{Sink, SinkExt, Stream, StreamExt};
use reconnecting_stream::ReconnectingFramed;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use support::{HEADER, Spread, Table, arguments, copy_steadily, encoded, is_debug_build, machine};

const ROUNDS: usize = 31;

/// What the other end reads or writes in one call.
const CHUNK: usize = 64 * 1024;

/// Where `Framed` writes by default.
const BARE_BOUNDARY: usize = 8 * 1024;

fn main() -> io::Result<()> {
    if is_debug_build() {
        return Ok(());
    }
    copy_steadily()?;
    let words = arguments();
    println!("{}\n", machine());
    let mut table = Table::new([
        &format!("messages a second, {ROUNDS} rounds: median (lowest to highest)"),
        "`Framed`",
        "this crate",
        "this crate / `Framed`",
        "`Framed` again / `Framed`",
    ]);
    for case in cases() {
        let name = case.to_string();
        if words.iter().all(|word| name.contains(word.as_str())) {
            table.push(measure(case)?);
        }
    }
    println!("{table}");
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

fn measure(case: Case) -> io::Result<[String; 5]> {
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
    let median = |values| format!("{:.0}", Spread::of(values).median);
    Ok([
        case.to_string(),
        median(bare),
        median(ours),
        Spread::of(ratio).to_string(),
        Spread::of(control).to_string(),
    ])
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
