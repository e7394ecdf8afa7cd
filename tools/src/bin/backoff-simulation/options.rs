//! The command line.

use std::path::PathBuf;
use std::str::FromStr;

pub(crate) const HELP: &str = "\
Simulates clients that come back after an outage, and compares backoffs.

Usage: backoff-simulation [OPTIONS] [FILE]

Options:
  --clients N    how many clients [first 100000, then 1000000]
  --rate N       connections that the server accepts in a second [a twentieth of the clients]
  --backlog N    connections that wait to be accepted [4096]
  --outage SECS  how long the server refuses all of them [60]
  --seed N       another seed gives other random numbers [1]
  --help         print this

The tables go to stdout. A chart of the last of them goes to FILE, as SVG. The
backlog of 4096 is the most that Linux allows unless told otherwise (listen(2)).";

pub(crate) enum Command {
    Simulate(Options),
    Help,
}

pub(crate) struct Options {
    pub(crate) clients: Vec<u32>,
    pub(crate) rate: Option<u64>,
    pub(crate) backlog: u64,
    /// Milliseconds.
    pub(crate) outage: u64,
    pub(crate) seed: u64,
    pub(crate) chart: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
        let mut options = Self {
            clients: vec![100_000, 1_000_000],
            rate: None,
            backlog: 4096,
            outage: 60_000,
            seed: 1,
            chart: None,
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => return Ok(Command::Help),
                name if name.starts_with('-') => {
                    let value = arguments.next().ok_or("expected a value, got none".into());
                    let set = value.and_then(|value| options.set(name, &value));
                    set.map_err(|wrong| format!("{name}: {wrong}"))?;
                }
                file if options.chart.is_none() => options.chart = Some(file.into()),
                another => return Err(format!("expected one file, got {another}, too")),
            }
        }
        Ok(Command::Simulate(options))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "--clients" => self.clients = vec![at_least(1, value)?],
            "--rate" => self.rate = Some(u64::from(at_least(1, value)?)),
            "--backlog" => self.backlog = u64::from(at_least(0, value)?),
            "--outage" => self.outage = u64::from(at_least(0, value)?) * 1000,
            "--seed" => self.seed = number(value)?,
            _ => return Err("not an option".into()),
        }
        Ok(())
    }
}

fn at_least(least: u32, word: &str) -> Result<u32, String> {
    match number(word)? {
        number if number < least => Err(format!("expected at least {least}, got {word}")),
        number => Ok(number),
    }
}

fn number<T: FromStr>(word: &str) -> Result<T, String> {
    let wrong = |_| format!("expected a number, got {word}");
    word.parse().map_err(wrong)
}
