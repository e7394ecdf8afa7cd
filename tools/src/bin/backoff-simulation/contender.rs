//! The backoffs that are compared.

use std::time::Duration;

use reconnecting_stream::{Backoff, Jitter};

/// A backoff, and what another crate would do to its delays.
///
/// gRPC's is from its document "Connection Backoff Protocol", that of `stubborn-io` from version
/// 0.3.6, whose jitter comes before the longest delay and is gone once that is reached.
pub(crate) struct Contender {
    pub(crate) jitter: &'static str,
    /// Its delays, in words.
    pub(crate) delays: String,
    /// Its place in the chart, in words.
    pub(crate) headline: Option<&'static str>,
    backoff: Backoff,
    spread: Spread,
    longest: Duration,
}

/// How the delays of many clients differ.
#[derive(Clone, Copy)]
enum Spread {
    /// Not at all: they come as one.
    Lockstep,
    /// By this crate's jitter.
    Jitter,
    /// By this part of the delay, up and down: the longest delay is exceeded.
    Around(f64),
    /// The same, but before the longest delay is applied: there it is gone.
    AroundBelow(f64),
}

impl Contender {
    fn new(jitter: &'static str, spread: Spread, backoff: Backoff, longest: Duration) -> Self {
        Self {
            jitter,
            delays: String::new(),
            headline: None,
            backoff,
            spread,
            longest,
        }
    }

    /// Exponential delays.
    fn exponential(kind: Kind, initial: Duration, longest: Duration, factor: f64) -> Self {
        let (jitter, spread, own) = kind;
        let max = match spread {
            Spread::AroundBelow(_) => Duration::MAX,
            Spread::Lockstep | Spread::Jitter | Spread::Around(_) => longest,
        };
        let backoff = Backoff::exponential(initial)
            .factor(factor)
            .max(max)
            .jitter(own);
        let range = format!("{} to {}", in_words(initial), in_words(longest));
        let delays = match factor {
            2.0 => range,
            factor => format!("{range}, × {factor}"),
        };
        Self {
            delays,
            ..Self::new(jitter, spread, backoff, longest)
        }
    }

    fn constant(kind: Kind, delay: Duration) -> Self {
        let (jitter, spread, own) = kind;
        let backoff = Backoff::constant(delay).jitter(own);
        Self {
            delays: match delay {
                Duration::ZERO => "no delay".into(),
                delay => format!("always {}", in_words(delay)),
            },
            ..Self::new(jitter, spread, backoff, delay)
        }
    }

    fn headline(self, headline: &'static str) -> Self {
        Self {
            headline: Some(headline),
            ..self
        }
    }

    fn describe(self, delays: &str) -> Self {
        Self {
            delays: format!("{}, {delays}", self.delays),
            ..self
        }
    }

    /// One client's outage.
    pub(crate) fn delays(&self) -> impl Iterator<Item = Duration> + use<'_> {
        let delays = self.backoff.delays(fastrand::f64);
        delays.map(|delay| match self.spread {
            Spread::Lockstep | Spread::Jitter => delay,
            Spread::Around(part) => around(delay, part),
            Spread::AroundBelow(part) => around(delay, part).min(self.longest),
        })
    }

    /// Above all of its delays.
    pub(crate) fn limit(&self) -> Duration {
        self.longest * 2
    }

    /// Whether all clients do the same in the same moment.
    pub(crate) fn is_lockstep(&self) -> bool {
        matches!(self.spread, Spread::Lockstep)
    }
}

fn around(delay: Duration, part: f64) -> Duration {
    let by = 1.0 + part * (2.0 * fastrand::f64() - 1.0);
    Duration::try_from_secs_f64(delay.as_secs_f64() * by).unwrap_or(Duration::MAX)
}

fn in_words(delay: Duration) -> String {
    match delay.as_millis() {
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}

type Kind = (&'static str, Spread, Jitter);

const NONE: Kind = ("none", Spread::Lockstep, Jitter::None);
const FIVE: Kind = ("±5 %", Spread::Around(0.05), Jitter::None);
const FIVE_BELOW: Kind = ("±5 %", Spread::AroundBelow(0.05), Jitter::None);
const TWENTY: Kind = ("±20 %", Spread::Around(0.2), Jitter::None);
const EQUAL: Kind = ("equal", Spread::Jitter, Jitter::Equal);
const FULL: Kind = ("full", Spread::Jitter, Jitter::Full);

const MS_100: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn contenders() -> Vec<Contender> {
    let mut all = vec![
        Contender::constant(NONE, Duration::ZERO),
        Contender::constant(NONE, SECOND),
        Contender::constant(NONE, 10 * SECOND),
        Contender::constant(FULL, 10 * SECOND),
    ];
    for (initial, kinds) in [
        (MS_100, &[NONE, FIVE, TWENTY, EQUAL, FULL][..]),
        (SECOND, &[NONE, TWENTY, FULL]),
    ] {
        for &kind in kinds {
            for seconds in [10, 30, 120] {
                let longest = seconds * SECOND;
                let contender = Contender::exponential(kind, initial, longest, 2.0);
                all.push(with_headline(contender));
            }
        }
    }
    all.push(Contender::exponential(FULL, MS_100, 10 * SECOND, 1.5));
    all.push(Contender::exponential(FULL, MS_100, 10 * SECOND, 3.0));
    all.push(
        Contender::exponential(TWENTY, SECOND, 120 * SECOND, 1.6)
            .describe("gRPC")
            .headline("±20 % (gRPC: 1 s to 120 s)"),
    );
    all.push(
        Contender::exponential(FIVE_BELOW, 4 * SECOND, 1800 * SECOND, 2.0).describe("stubborn-io"),
    );
    all.push(
        Contender::exponential(FIVE_BELOW, MS_100, 10 * SECOND, 2.0)
            .describe("stubborn-io's formula"),
    );
    all
}

fn with_headline(contender: Contender) -> Contender {
    match (contender.jitter, contender.delays.as_str()) {
        ("none", "100 ms to 10 s") => contender.headline("no jitter (100 ms to 10 s)"),
        ("±5 %", "100 ms to 10 s") => contender.headline("±5 % (100 ms to 10 s)"),
        ("full", "100 ms to 10 s") => {
            contender.headline("full jitter (the default: 100 ms to 10 s)")
        }
        _ => contender,
    }
}
