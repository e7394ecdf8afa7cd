//! The command line.

use std::time::Duration;

const USAGE: &str = "usage: soak [--minutes N] [--seconds N] [--seed S] [--sessions N]";

#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// One minute by default.
    pub(crate) time: Duration,
    /// A random one by default.
    pub(crate) seed: u64,
    /// How many clients have sessions, in place of the others. None by default.
    pub(crate) sessions: u32,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            time: Duration::from_secs(60),
            seed: u64::from(std::process::id()) ^ now(),
            sessions: 0,
        };
        while let Some(option) = arguments.next() {
            let value = arguments.next().ok_or(format!("{option}: {USAGE}"))?;
            let number = value
                .parse::<u32>()
                .map_err(|_| format!("{option}: expected a number, got {value}"))?;
            match option.as_str() {
                "--minutes" => options.time = Duration::from_secs(60) * number,
                "--seconds" => options.time = Duration::from_secs(number.into()),
                "--seed" => options.seed = number.into(),
                "--sessions" => options.sessions = number,
                _ => return Err(format!("{option}: {USAGE}")),
            }
        }
        Ok(options)
    }

    /// Ten times, at least every half minute.
    pub(crate) fn report_every(&self) -> Duration {
        (self.time / 10).clamp(Duration::from_secs(1), Duration::from_secs(30))
    }
}

/// Returns a number that is short enough to be typed again.
fn now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::from(since.subsec_nanos())
}
