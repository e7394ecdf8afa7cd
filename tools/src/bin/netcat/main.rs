//! A netcat whose session outlives its connections.
//!
//! `cargo run --bin netcat -- HOST:PORT` connects stdin and stdout to a server, through
//! restarts of that server and losses of the network between; what happens to the connection
//! is printed on stderr. `--help` lists the options, which are those of a
//! [`Policy`](reconnecting_stream::Policy) and of a [`Seam`](reconnecting_stream::Seam).
//!
//! It shows a stream that is [`split`] in two: reading continues while stdin is silent, and either
//! half may be the one that meets a loss.
//!
//! The reading half is in `receive.rs`, the writing half in `send.rs`, the command line in
//! `options.rs`.

mod options;
mod receive;
mod send;

use std::fmt;
use std::future::{Future, pending};
use std::io::{self, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use reconnecting_stream::{ConnectionLost, Event, ReconnectingStream, TcpConnector};
use tokio::io::split;
use tokio::runtime::Runtime;
use tokio::signal::ctrl_c;
use tokio::time::timeout;

use crate::options::{Command, HELP, Options};
use crate::receive::{Output, receive};
use crate::send::send;

/// The longest line that is kept whole. A longer one passes in pieces, each of which counts as a
/// line.
const LONGEST_LINE: usize = 64 * 1024;

/// How long stdout has to take what is left after Ctrl-C.
const GRACE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    let options = match Options::parse(arguments.map(|word| word.to_string_lossy().into())) {
        Ok(Command::Connect(options)) => options,
        Ok(Command::Help) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            say(format_args!("{wrong} (try --help)"));
            return ExitCode::from(2);
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(error);
            ExitCode::FAILURE
        }
    }
}

/// Runs a session in a runtime that is not waited for: a read from stdin can't be interrupted.
fn run(options: Options) -> io::Result<()> {
    let runtime = Runtime::new()?;
    let result = runtime.block_on(session(options));
    runtime.shutdown_background();
    result
}

/// Prints a line on stderr. A broken stderr does not end the session.
fn say(what: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "netcat: {what}");
}

async fn session(options: Options) -> io::Result<()> {
    let mut interrupt = pin!(ctrl_c());
    let policy = options.policy.clone().backoff(options.backoff());
    let Options { address, seam, .. } = options;
    let connect = ReconnectingStream::builder(TcpConnector::new(address))
        .policy(policy)
        .seam(seam)
        .retry_initial_connect(options.retry_initial)
        .on_event(tell)
        .connect();
    let stream = tokio::select! {
        stream = connect => stream?,
        interrupted = &mut interrupt => return interrupted,
    };
    let handle = stream.handle();
    let (reader, writer) = split(stream);
    let mut receiving = pin!(receive(reader, Output::new(seam), &handle));
    tokio::select! {
        ended = &mut receiving => ended,
        failed = failure(send(writer, seam, &handle)) => Err(failed),
        interrupted = &mut interrupt => {
            handle.close();
            // What is left goes to stdout, unless that takes nothing any more.
            timeout(GRACE, receiving).await.unwrap_or(Ok(())).and(interrupted)
        }
    }
}

/// Waits for an error of the sending half. The end of stdin does not end the session.
async fn failure(sending: impl Future<Output = io::Result<()>>) -> io::Error {
    match sending.await {
        Ok(()) => pending().await,
        Err(error) => error,
    }
}

fn is_loss(error: &io::Error) -> bool {
    ConnectionLost::find(error).is_some()
}

/// Prints an event.
fn tell(event: &Event) {
    let words = match event {
        Event::Lost {
            generation, cause, ..
        } => format!("lost connection {generation}: {}", reason(cause)),
        Event::Retrying { attempt, delay, .. } => {
            format!("attempt {attempt} in {} ms", delay.as_millis())
        }
        Event::AttemptFailed { attempt, error, .. } => format!("attempt {attempt} failed: {error}"),
        Event::Connected { generation, .. } => format!("connection {generation} is up"),
        Event::Closed { .. } => "closed".into(),
        // The session's own error says it.
        Event::GaveUp { .. } => return,
        other => format!("{other:?}"),
    };
    say(words);
}

fn reason(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::UnexpectedEof => "closed by the server".into(),
        _ => cause.to_string(),
    }
}
