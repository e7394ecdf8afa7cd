//! A netcat whose session outlives its connections.
//!
//! `cargo run --example netcat -- HOST:PORT` connects stdin and stdout to a server, through
//! restarts of that server and losses of the network between; what happens to the connection is
//! told on stderr. `--help` lists the options, which are those of a [`Policy`] and of a [`Seam`].
//!
//! It shows a stream that is [`split`] in two: reading goes on while stdin is silent, and either
//! half may be the one that meets a loss.

use std::error::Error;
use std::fmt;
use std::future::{Future, pending};
use std::io::{self, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use reconnecting_stream::{Backoff, ConnectionLost, Eof, Event, Handle, Policy};
use reconnecting_stream::{ReconnectingStream, Seam, State};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::io::{AsyncWriteExt, BufReader, Stdout, split, stdin, stdout};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::signal::ctrl_c;
use tokio::time::timeout;

const HELP: &str = "\
Connects stdin and stdout to a server, and goes on when the connection is lost.

Usage: netcat [OPTIONS] HOST:PORT

Options:
  --seam error|hidden|eof  what a loss does to the lines [error]
  --eof reconnect|pass     what it means that the server closes the connection [reconnect]
  --retry-initial          retry the first connection, too
  --max-attempts N|none    give up after so many attempts in a row [100]
  --attempt-timeout SECS   how long an attempt may take [10]
  --initial-delay MS       delay before the first retry, doubled from one to the next [100]
  --max-delay MS           longest delay [10000]
  --idle-timeout SECS|none silence that counts as a loss [none]
  --help                   print this

The server's answers go to stdout, everything else to stderr.

With --seam error lines are kept whole, up to 64 KiB. A line of input that was cut by the loss
goes again, whole, on the next connection; a line of output that was cut is dropped; stderr tells
of both. Output appears line by line, so a prompt appears late. With --seam hidden bytes pass as they are,
and a line may begin on one connection and go on on the next. With --seam eof the first loss ends
the session.

In every mode a line that the connection had taken just before it was lost may not have arrived.
Nobody can tell, and it does not go again.

The end of stdin ends the session as soon as the server has said everything. So does the server
if it closes the connection with --eof pass, and Ctrl-C at once.

Exit status: 0 after a session that ended as said, 1 if there was no connection, or none any
more, when it was needed, 2 for a wrong command line.";

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

/// A session in a runtime that is not waited for: a read from stdin can't be interrupted.
fn run(options: Options) -> io::Result<()> {
    let runtime = Runtime::new()?;
    let result = runtime.block_on(session(options));
    runtime.shutdown_background();
    result
}

/// A broken stderr is no reason to end.
fn say(what: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "netcat: {what}");
}

async fn session(options: Options) -> io::Result<()> {
    let mut interrupt = pin!(ctrl_c());
    let policy = options.policy.clone().backoff(options.backoff());
    let Options { address, seam, .. } = options;
    let connect = ReconnectingStream::builder(move || TcpStream::connect(address.clone()))
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

/// Sending that ends well does not end the session.
async fn failure(sending: impl Future<Output = io::Result<()>>) -> io::Error {
    match sending.await {
        Ok(()) => pending().await,
        Err(error) => error,
    }
}

/// From the server to stdout, until the end of the stream.
async fn receive(
    mut reader: impl AsyncRead + Unpin,
    mut output: Output,
    handle: &Handle,
) -> io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        match reader.read(&mut bytes).await {
            Ok(0) => return output.finish().await,
            Ok(n) => output.write(&bytes[..n]).await?,
            // The same error without a seam: it was lost after the end of stdin, for good.
            Err(error) if handle.state() == State::Closed => return Err(error),
            Err(error) if is_loss(&error) => output.cut(),
            Err(error) => return Err(error),
        }
    }
}

/// From stdin to the server, until the end of stdin.
async fn send(mut writer: impl AsyncWrite + Unpin, seam: Seam, handle: &Handle) -> io::Result<()> {
    let mut input = BufReader::new(stdin());
    let mut piece = Vec::with_capacity(LONGEST_LINE);
    while next_piece(&mut input, seam, &mut piece).await? > 0 {
        send_piece(&mut writer, seam, &piece).await?;
        piece.clear();
    }
    if let State::Backoff { .. } | State::Connecting { .. } = handle.state() {
        let what = "stdin ended while there was no connection";
        return Err(io::Error::other(what));
    }
    loop {
        match writer.shutdown().await {
            Err(error) if is_loss(&error) && handle.state() != State::Closed => {}
            ended => return ended,
        }
    }
}

/// What a loss must not cut: a line, or nothing in particular.
async fn next_piece(
    input: &mut (impl AsyncBufRead + Unpin),
    seam: Seam,
    piece: &mut Vec<u8>,
) -> io::Result<usize> {
    match seam {
        Seam::Error => {
            let mut line = input.take(LONGEST_LINE as u64);
            line.read_until(b'\n', piece).await
        }
        Seam::Hidden | Seam::Eof => input.read_buf(piece).await,
    }
}

/// Sends all of it on one connection, unless the seam is hidden.
async fn send_piece(
    writer: &mut (impl AsyncWrite + Unpin),
    seam: Seam,
    piece: &[u8],
) -> io::Result<()> {
    let mut sent = 0;
    while sent < piece.len() {
        match writer.write(&piece[sent..]).await {
            Ok(n) => sent += n,
            Err(error) if !is_loss(&error) => return Err(error),
            // The reader gets the end of the stream, and ends the session.
            Err(_) if seam == Seam::Eof => pending().await,
            Err(_) if sent == 0 => {}
            Err(_) => {
                let cut = format!("a line was cut after {sent} bytes, and goes again");
                say(cut);
                sent = 0;
            }
        }
    }
    Ok(())
}

fn is_loss(error: &io::Error) -> bool {
    let inside = error.get_ref();
    inside.is_some_and(<dyn Error + Send + Sync>::is::<ConnectionLost>)
}

/// Stdout, in whole lines or as it comes.
struct Output {
    stdout: Stdout,
    seam: Seam,
    /// The beginning of a line, whose end has not come yet.
    held: Vec<u8>,
}

impl Output {
    fn new(seam: Seam) -> Self {
        Self {
            stdout: stdout(),
            seam,
            held: Vec::new(),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.held.extend(bytes);
        let due = self.due();
        self.stdout.write_all(&self.held[..due]).await?;
        self.held.drain(..due);
        self.stdout.flush().await
    }

    /// How much of it need not be held.
    fn due(&self) -> usize {
        let last = self.held.iter().rposition(|byte| *byte == b'\n');
        let lines = last.map_or(0, |last| last + 1);
        let rest = self.held.len() - lines;
        match self.seam {
            Seam::Error if rest < LONGEST_LINE => lines,
            Seam::Error | Seam::Hidden | Seam::Eof => self.held.len(),
        }
    }

    /// The line that was coming will not go on.
    fn cut(&mut self) {
        if !self.held.is_empty() {
            let n = self.held.len();
            self.held.clear();
            say(format_args!(
                "a line of output was cut, {n} bytes of it dropped"
            ));
        }
    }

    async fn finish(mut self) -> io::Result<()> {
        self.stdout.write_all(&self.held).await?;
        self.stdout.flush().await
    }
}

/// What happens to the connection, in plain words.
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

enum Command {
    Connect(Options),
    Help,
}

struct Options {
    address: String,
    seam: Seam,
    retry_initial: bool,
    initial_delay: Duration,
    max_delay: Duration,
    policy: Policy,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
        let mut options = Self::new();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => return Ok(Command::Help),
                "--retry-initial" => options.retry_initial = true,
                name if name.starts_with('-') => {
                    let value = arguments.next().ok_or("expected a value, got none".into());
                    let set = options.set(name, value);
                    options = set.map_err(|wrong| format!("{name}: {wrong}"))?;
                }
                address if options.address.is_empty() => options.address = checked(address)?,
                another => return Err(format!("expected one address, got {another}, too")),
            }
        }
        if options.address.is_empty() {
            return Err("expected HOST:PORT, got none".into());
        }
        Ok(Command::Connect(options))
    }

    fn new() -> Self {
        Self {
            address: String::new(),
            seam: Seam::Error,
            retry_initial: false,
            initial_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(10),
            policy: Policy::default(),
        }
    }

    fn set(mut self, name: &str, value: Result<String, String>) -> Result<Self, String> {
        match name {
            "--seam" => self.seam = one_of(&SEAMS, &value?)?,
            "--eof" => self.policy = self.policy.eof(one_of(&EOFS, &value?)?),
            "--max-attempts" => self.policy = self.policy.max_attempts(limit(&value?, number)?),
            "--attempt-timeout" => {
                self.policy = self.policy.attempt_timeout(seconds(&value?)?);
            }
            "--idle-timeout" => self.policy = self.policy.idle_timeout(limit(&value?, seconds)?),
            "--initial-delay" => self.initial_delay = milliseconds(&value?)?,
            "--max-delay" => self.max_delay = milliseconds(&value?)?,
            _ => return Err("not an option".into()),
        }
        Ok(self)
    }

    fn backoff(&self) -> Backoff {
        Backoff::exponential(self.initial_delay).max(self.max_delay)
    }
}

const SEAMS: [(&str, Seam); 3] = [
    ("error", Seam::Error),
    ("hidden", Seam::Hidden),
    ("eof", Seam::Eof),
];
const EOFS: [(&str, Eof); 2] = [("reconnect", Eof::Reconnect), ("pass", Eof::Pass)];

fn one_of<T: Copy>(choices: &[(&str, T)], word: &str) -> Result<T, String> {
    let chosen = choices.iter().find(|(name, _)| *name == word);
    chosen.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        format!("expected {}, got {word}", names.join(" or "))
    })
}

fn limit<T>(word: &str, parse: fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    match word {
        "none" => Ok(None),
        word => parse(word).map(Some),
    }
}

fn number<T: FromStr>(word: &str) -> Result<T, String> {
    let wrong = |_| format!("expected a number, got {word}");
    word.parse().map_err(wrong)
}

fn seconds(word: &str) -> Result<Duration, String> {
    let wrong = |_| format!("expected a number of seconds, got {word}");
    Duration::try_from_secs_f64(number(word)?).map_err(wrong)
}

fn milliseconds(word: &str) -> Result<Duration, String> {
    number(word).map(Duration::from_millis)
}

fn checked(address: &str) -> Result<String, String> {
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(address.into()),
        Some(_) | None => Err(format!("expected HOST:PORT, got {address}")),
    }
}
