//! Ten thousand live streams in one process: what each keeps on the heap, and what a restart of
//! their server does to them, under the default policy.
//!
//! The server is another process, a copy of this program, and is killed. Attempts and connections
//! are counted in the connectors, so the same for this crate and for `stubborn-io`. The clients
//! are tasks of one runtime of one thread, so the processor's time is that of the main thread.
//!
//! Prints tables in Markdown, and draws `docs/restart.svg`. Takes less than a minute. It needs some
//! 10,100 file descriptors: it starts itself again under the hard limit.
//!
//! Fails if a stream keeps more than 400 bytes beyond a bare `TcpStream` in a task, if one does not
//! come back, or if a restart without a pause costs more than two attempts a stream.

mod clients;
mod restart;
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clients::Kind;
use restart::Restart;
use support::chart::Lines;
use support::{Table, arguments, is_debug_build, machine};

const STREAMS: usize = 10_000;
const MOST_DESCRIPTORS: usize = STREAMS + 100;
const MOST_KEPT: f64 = 400.0;
const MOST_ATTEMPTS: f64 = 2.0;

fn main() -> ExitCode {
    let arguments = arguments();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["server", port] => server::serve(port),
        _ if is_debug_build() => Ok(()),
        ["raised"] => compare(),
        _ if descriptors() < MOST_DESCRIPTORS => raise(),
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

/// How many this process may open.
fn descriptors() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| line.split_whitespace().next());
    soft.and_then(|soft| soft.parse().ok())
        .unwrap_or(usize::MAX)
}

/// Starts over with as many as are allowed.
fn raise() -> Result<(), String> {
    let itself = env::current_exe().map_err(|error| error.to_string())?;
    let script = r#"ulimit -n "$(ulimit -H -n)"; exec "$0" raised"#;
    let error = Command::new("sh").args(["-c", script]).arg(itself).exec();
    Err(format!(
        "the limit of file descriptors can't be raised: {error}"
    ))
}

fn compare() -> Result<(), String> {
    if descriptors() < MOST_DESCRIPTORS {
        return Err(format!(
            "expected {MOST_DESCRIPTORS} file descriptors, got {}",
            descriptors()
        ));
    }
    println!("{}\n", machine());
    let restarts = [
        (Kind::Ours, 0),
        (Kind::Ours, 1_000),
        (Kind::Ours, 5_000),
        (Kind::Stubborn, 1_000),
    ];
    let mut done = Vec::new();
    for (kind, pause) in restarts {
        done.push(Restart::run(kind, Duration::from_millis(pause))?);
    }
    let mut problems = print_memory(&done)?;
    problems.extend(print_restarts(&done));
    draw(&done).map_err(|error| error.to_string())?;
    match problems.as_slice() {
        [] => Ok(()),
        _ => Err(problems.join("\nerror: ")),
    }
}

fn print_memory(restarts: &[Restart]) -> Result<Vec<String>, String> {
    let bare = clients::bytes_kept(Kind::Bare)?;
    let mut table = Table::new(["heap bytes a stream", "kept", "beyond a bare `TcpStream`"]);
    let mut problems = Vec::new();
    let mut push = |name: &str, kept: f64| {
        let beyond = kept - bare;
        table.push([
            name.to_owned(),
            format!("{kept:.0}"),
            format!("{beyond:+.0}"),
        ]);
        if !name.contains("stubborn") && beyond > MOST_KEPT {
            problems.push(format!(
                "{name}: expected at most {MOST_KEPT} bytes, got {beyond:.0}"
            ));
        }
    };
    push("bare `TcpStream` in a task", bare);
    push("this crate", clients::bytes_kept(Kind::Ours)?);
    push("this crate, after a restart", restarts[0].bytes_kept);
    push("`stubborn-io`", clients::bytes_kept(Kind::Stubborn)?);
    push("`stubborn-io`, after a restart", restarts[3].bytes_kept);
    println!("{table}");
    Ok(problems)
}

fn print_restarts(restarts: &[Restart]) -> Vec<String> {
    let mut table = Table::new([
        "restart of the server under 10,000 streams",
        "back",
        "99 % back after",
        "all back after",
        "most in 1 s",
        "most in 100 ms",
        "attempts a stream",
        "processor",
    ]);
    let mut problems = Vec::new();
    for restart in restarts {
        table.push(restart.row());
        let is_ours = matches!(restart.kind, Kind::Ours);
        if is_ours && restart.back.len() < STREAMS {
            problems.push(format!("expected all back, got {}", restart.back.len()));
        }
        let attempts = restart.attempts_each();
        if is_ours && restart.pause.is_zero() && attempts > MOST_ATTEMPTS {
            problems.push(format!(
                "expected at most {MOST_ATTEMPTS} attempts a stream, got {attempts:.2}"
            ));
        }
    }
    println!("{table}");
    problems
}

fn draw(restarts: &[Restart]) -> Result<(), Box<dyn std::error::Error>> {
    let [ours, theirs] = [&restarts[1], &restarts[3]];
    let mut curves = [ours.curve(), theirs.curve()];
    let ends = curves.iter().flatten().map(|(seconds, _)| *seconds);
    let end = ends.fold(0.0, f64::max) + 0.5;
    for curve in &mut curves {
        let back = curve.last().map_or(0.0, |(_, back)| *back);
        curve.push((end, back));
    }
    let [our_curve, their_curve] = curves;
    let up = ours.downtime();
    Lines {
        title: "10,000 clients come back after their server was restarted (earlier is better)",
        note: "All in one process, with the default settings of each crate.",
        across: "seconds since the server died",
        up: "clients connected again",
        highest: 10_000.0,
        series: vec![
            ("reconnecting-stream", our_curve),
            ("stubborn-io", their_curve),
            ("the server is up again", vec![(up, 0.0), (up, 10_000.0)]),
        ],
    }
    .draw("restart.svg")
}
