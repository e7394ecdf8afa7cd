//! The command line.

use std::str::FromStr;
use std::time::Duration;

use reconnecting_stream::{Backoff, Eof, Policy, Seam};

pub(crate) const HELP: &str = "\
Connects stdin and stdout to a server, and reconnects when the connection is lost.

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
is sent again, whole, on the next connection; a line of output that was cut is dropped; stderr reports
both. Output appears line by line, so a prompt appears late. With --seam hidden bytes pass as they are,
and a line may begin on one connection and continue on the next. With --seam eof the first loss ends
the session.

In every mode a line that the connection had taken just before it was lost may not have arrived.
It is not sent again.

The end of stdin ends the session as soon as the server has sent everything. So does the server
if it closes the connection with --eof pass, and Ctrl-C immediately.

Exit status: 0 after a session that ended as said, 1 if there was no connection, or none any
more, when it was needed, 2 for a wrong command line.";

pub(crate) enum Command {
    Connect(Options),
    Help,
}

pub(crate) struct Options {
    pub(crate) address: String,
    pub(crate) seam: Seam,
    pub(crate) retry_initial: bool,
    initial_delay: Duration,
    max_delay: Duration,
    pub(crate) policy: Policy,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
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

    pub(crate) fn backoff(&self) -> Backoff {
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
