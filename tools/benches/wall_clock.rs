//! What a workload takes by the clock: bare, this crate, `stubborn-io`, `io-tether`, and a second
//! bare run.
//!
//! Each run is one runtime of one thread with both ends in it, since two threads are bimodal. The
//! other end is always bare. The five take turns, forwards and backwards, and a ratio is one of
//! times in the same round, above 1 if slower than the first bare run. What the second bare run,
//! the control, differs by is the noise.
//!
//! Prints a table in Markdown. Arguments choose rows by words in them:
//! `cargo bench --bench wall_clock -- TCP`. Nothing is checked.

mod support;

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;

use support::{
    Spread, Table, arguments, copy_steadily, is_debug_build, machine, ours, stubborn, tether,
};

const ROUNDS: usize = 21;

/// What the other end reads in one call, and what a duplex holds.
const CHUNK: usize = 64 * 1024;

fn main() -> io::Result<()> {
    if is_debug_build() {
        return Ok(());
    }
    copy_steadily()?;
    let words = arguments();
    println!("{}\n", machine());
    let mut table = Table::new([
        &format!("time, {ROUNDS} rounds: median (lowest to highest)"),
        "bare",
        "this crate / bare",
        "`stubborn-io` / bare",
        "`io-tether` / bare",
        "bare again / bare",
    ]);
    for medium in [Medium::Tcp, Medium::Duplex] {
        for workload in WORKLOADS {
            let name = format!("{}, {}", workload.name, medium.name());
            if words.iter().all(|word| name.contains(word.as_str())) {
                table.push(measure(name, workload, medium)?);
            }
        }
    }
    println!("{table}");
    Ok(())
}

#[derive(Clone, Copy)]
enum Medium {
    Tcp,
    Duplex,
}

impl Medium {
    /// How often a run goes through a workload: in memory once would take less than a time slice.
    fn repetitions(self) -> u32 {
        match self {
            Self::Tcp => 1,
            Self::Duplex => 10,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "loopback TCP",
            Self::Duplex => "in memory",
        }
    }
}

#[derive(Clone, Copy)]
enum Shape {
    /// Each write is answered with as many bytes.
    PingPong,
    /// The other end only reads.
    OneWay,
}

#[derive(Clone, Copy)]
struct Workload {
    name: &'static str,
    shape: Shape,
    size: usize,
    times: usize,
}

/// A write of 64 KiB would leave a small segment behind on loopback, and be five times as slow.
const WORKLOADS: [Workload; 3] = [
    Workload {
        name: "ping-pong of 64 B, 2,000 times",
        shape: Shape::PingPong,
        size: 64,
        times: 2_000,
    },
    Workload {
        name: "32 KiB one way, 2,000 times",
        shape: Shape::OneWay,
        size: 32 * 1024,
        times: 2_000,
    },
    Workload {
        name: "10,000 writes of 16 B",
        shape: Shape::OneWay,
        size: 16,
        times: 10_000,
    },
];

#[derive(Clone, Copy)]
enum Side {
    Bare,
    Ours,
    Stubborn,
    Tether,
    BareAgain,
}

const SIDES: [Side; 5] = [
    Side::Bare,
    Side::Ours,
    Side::Stubborn,
    Side::Tether,
    Side::BareAgain,
];

fn measure(name: String, workload: Workload, medium: Medium) -> io::Result<[String; 6]> {
    for side in SIDES {
        run(workload, medium, side)?;
    }
    let mut times = [const { Vec::new() }; SIDES.len()];
    for round in 0..ROUNDS {
        for turn in 0..SIDES.len() {
            let turn = if round % 2 == 0 {
                turn
            } else {
                SIDES.len() - 1 - turn
            };
            times[turn].push(run(workload, medium, SIDES[turn])?);
        }
    }
    let bare = &times[0];
    let ratio = |times: &[f64]| {
        let ratios = times.iter().zip(bare).map(|(time, bare)| time / bare);
        Spread::of(ratios.collect()).to_string()
    };
    Ok([
        name,
        format!("{:.2} ms", 1000.0 * Spread::of(bare.clone()).median),
        ratio(&times[1]),
        ratio(&times[2]),
        ratio(&times[3]),
        ratio(&times[4]),
    ])
}

/// Seconds.
fn run(workload: Workload, medium: Medium, side: Side) -> io::Result<f64> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let taken = runtime.block_on(async {
        match medium {
            Medium::Tcp => {
                let (near, far) = sockets().await?;
                go(workload, medium, side, near, far).await
            }
            Medium::Duplex => {
                let (near, far): (DuplexStream, _) = duplex(CHUNK);
                go(workload, medium, side, near, far).await
            }
        }
    })?;
    Ok(taken.as_secs_f64())
}

async fn sockets() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let near = TcpStream::connect(listener.local_addr()?).await?;
    let (far, _) = listener.accept().await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

async fn go<Io>(
    workload: Workload,
    medium: Medium,
    side: Side,
    near: Io,
    far: Io,
) -> io::Result<Duration>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let repetitions = medium.repetitions();
    match side {
        Side::Bare | Side::BareAgain => workload.time(repetitions, near, far).await,
        Side::Ours => workload.time(repetitions, ours(near), far).await,
        Side::Tether => workload.time(repetitions, tether(near), far).await,
        Side::Stubborn => {
            let near = stubborn(near).await?;
            workload.time(repetitions, near, far).await
        }
    }
}

impl Workload {
    /// Goes through some of it first, then times all of it.
    async fn time<S, Io>(self, repetitions: u32, mut near: S, far: Io) -> io::Result<Duration>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut far = self.go(&mut near, far, self.times / 10).await?;
        let start = Instant::now();
        for _ in 0..repetitions {
            far = self.go(&mut near, far, self.times).await?;
        }
        Ok(start.elapsed() / repetitions)
    }

    /// Until the last byte has arrived.
    async fn go<S, Io>(self, near: &mut S, far: Io, times: usize) -> io::Result<Io>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut bytes = vec![7; self.size];
        match self.shape {
            Shape::PingPong => {
                let far = tokio::spawn(echo(far, self.size, times));
                for _ in 0..times {
                    near.write_all(&bytes).await?;
                    near.read_exact(&mut bytes).await?;
                }
                far.await?
            }
            Shape::OneWay => {
                let far = tokio::spawn(swallow(far, self.size * times));
                for _ in 0..times {
                    near.write_all(&bytes).await?;
                }
                near.flush().await?;
                far.await?
            }
        }
    }
}

async fn echo<Io>(mut io: Io, size: usize, times: usize) -> io::Result<Io>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let mut bytes = vec![0; size];
    for _ in 0..times {
        io.read_exact(&mut bytes).await?;
        io.write_all(&bytes).await?;
    }
    Ok(io)
}

async fn swallow<Io: AsyncRead + Unpin>(mut io: Io, bytes: usize) -> io::Result<Io> {
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
