//! What a session takes beside a raw TCP connection: two processes, each on a core of its own, and
//! both ends in one runtime.
//!
//! Raw connections and sessions take turns. A ratio is one of the same round. Arguments choose rows by
//! words in them: `cargo bench --bench session -- ping-pong`. Nothing is checked. It needs `taskset`.

mod ends;
mod recovery;
#[path = "../support/mod.rs"]
mod support;
mod work;

use std::env;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ends::{FarEnd, Over, serve};
use support::{Spread, Table, arguments, is_debug_build, machine};
use work::{Measured, Work, client};

const ROUNDS: usize = 31;

const ROWS: &[(&str, Over, Work)] = &[
    (
        "write 32 KiB",
        Over::Tcp,
        Work::Send {
            size: 32 * 1024,
            mib: 256,
        },
    ),
    (
        "write 32 KiB over TLS",
        Over::Tls,
        Work::Send {
            size: 32 * 1024,
            mib: 128,
        },
    ),
    (
        "write 8 KiB",
        Over::Tcp,
        Work::Send {
            size: 8 * 1024,
            mib: 128,
        },
    ),
    (
        "write 1 KiB",
        Over::Tcp,
        Work::Send {
            size: 1024,
            mib: 24,
        },
    ),
    (
        "both directions, 32 KiB",
        Over::Tcp,
        Work::Both {
            size: 32 * 1024,
            mib: 128,
        },
    ),
    (
        "ping-pong 64 B",
        Over::Tcp,
        Work::PingPong { times: 10_000 },
    ),
    (
        "ping-pong 64 B on 400 connections",
        Over::Tcp,
        Work::Many {
            connections: 400,
            times: 100,
        },
    ),
];

fn main() -> io::Result<()> {
    let words = arguments();
    if words.first().is_some_and(|word| word == "--serve") {
        return serve();
    }
    if is_debug_build() {
        return Ok(());
    }
    if env::var_os(TUNABLES).is_none() {
        println!("{}\n", machine());
        return measure_on_one_core();
    }
    let mut table = Table::new([
        &format!("{ROUNDS} rounds: median (half of the rounds)"),
        "throughput, session / raw",
        "processor time, session / raw",
        "raw",
    ]);
    for place in [Place::TwoProcesses, Place::OneRuntime] {
        for (name, over, work) in ROWS {
            if matches!((work, place), (Work::Many { .. }, Place::TwoProcesses)) {
                continue;
            }
            let name = format!("{name}, {}", place.name());
            if words.iter().all(|word| name.contains(word.as_str())) {
                table.push(measure(name, (*work, *over), place)?);
            }
        }
    }
    println!("{table}");
    if words.iter().all(|word| "recovery".contains(word.as_str())) {
        println!("{}", recovery()?);
    }
    Ok(())
}

/// Tunables of glibc.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// Before version 2.39, glibc copies with `rep movsb`. On a Zen 3 the speed of that depends on the
/// addresses of the buffers, and two processes that did the same differed by half (measured).
const NO_REP_MOVSB: &str = "glibc.cpu.x86_rep_movsb_threshold=0x10000000";

/// Measures in a process on the first core.
fn measure_on_one_core() -> io::Result<()> {
    let mut command = on_core("0")?;
    let status = command
        .args(arguments())
        .env(TUNABLES, NO_REP_MOVSB)
        .status()?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other("the process that measures has failed")),
    }
}

/// Returns a command that runs this program on this core.
fn on_core(core: &str) -> io::Result<Command> {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(env::current_exe()?);
    Ok(command)
}

fn recovery() -> io::Result<Table> {
    let runtime = work::runtime()?;
    let median = |is_session| {
        let task = recovery::median(is_session);
        runtime.block_on(async { tokio::spawn(task).await? })
    };
    let (mut raw, mut ratios) = (Vec::new(), Vec::new());
    // The first round is for the caches.
    for round in 0..=ROUNDS {
        let [bare, session] = [median(false)?, median(true)?];
        if round > 0 {
            ratios.push(session.as_secs_f64() / bare.as_secs_f64());
            raw.push(bare);
        }
    }
    raw.sort_unstable();
    let mut table = Table::new([
        "from a reset to the first byte",
        "raw connection, request and reply",
        "session / raw",
    ]);
    table.push([
        format!("{ROUNDS} rounds of {} losses", recovery::LOSSES),
        format!("{:.1} µs", raw[ROUNDS / 2].as_secs_f64() * 1e6),
        Spread::of_half(ratios).to_string(),
    ]);
    Ok(table)
}

#[derive(Clone, Copy, Debug)]
enum Place {
    TwoProcesses,
    OneRuntime,
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::TwoProcesses => "two processes",
            Self::OneRuntime => "one runtime",
        }
    }

    fn run(self, (work, over): (Work, Over), is_session: bool) -> io::Result<Measured> {
        match self {
            Self::OneRuntime => client(work, over, is_session, None),
            Self::TwoProcesses => {
                let mut server = Server::start()?;
                let measured = client(work, over, is_session, Some(server.far));
                server.child.kill()?;
                server.child.wait()?;
                measured
            }
        }
    }
}

/// A process with the other end, on the second core.
struct Server {
    child: Child,
    far: FarEnd,
}

impl Server {
    fn start() -> io::Result<Self> {
        let mut child = on_core("1")?
            .arg("--serve")
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let far = FarEnd::from_line(&line).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { child, far })
    }
}

fn measure(name: String, work: (Work, Over), place: Place) -> io::Result<[String; 4]> {
    let (mut throughput, mut processor, mut raw_times) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let first = round % 2 == 1;
        let one = place.run(work, first)?;
        let other = place.run(work, !first)?;
        let (raw, session) = if first { (other, one) } else { (one, other) };
        throughput.push(raw.time.as_secs_f64() / session.time.as_secs_f64());
        processor.push(session.processor.as_secs_f64() / raw.processor.as_secs_f64());
        raw_times.push(raw.time);
    }
    raw_times.sort_unstable();
    Ok([
        name,
        Spread::of_half(throughput).to_string(),
        Spread::of_half(processor).to_string(),
        work.0.describe(raw_times[ROUNDS / 2]),
    ])
}

impl Work {
    fn describe(self, time: Duration) -> String {
        match self {
            Self::Send { mib, .. } | Self::Both { mib, .. } => {
                format!("{:.0} MiB/s", f64::from(mib) / time.as_secs_f64())
            }
            Self::PingPong { times } | Self::Many { times, .. } => {
                format!("{:.1} µs", time.as_secs_f64() * 1e6 / f64::from(times))
            }
        }
    }
}
