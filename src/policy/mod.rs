//! When to try again. Everything here is pure: the time and the random number are arguments.

mod backoff;
#[cfg(feature = "backoff")]
mod backoff_crate;
#[cfg(feature = "serde")]
mod config;
#[cfg(feature = "serde")]
mod duration;
mod loss;
mod outage;
mod schedule;

use std::io;
use std::time::Duration;

pub use backoff::{Backoff, Jitter};
pub use loss::{Phase, Verdict};
pub(crate) use outage::Outage;

use crate::error::Permanent;

/// When a connection counts as lost, when to try again, and when to give up.
///
/// A plain value: setters can be called in any order, and none of them can fail.
#[cfg_attr(
    feature = "serde",
    doc = "In a configuration file it looks as [`docs::config`](crate::docs::config) shows."
)]
///
/// # Defaults
///
/// | setting | default | why |
/// |---|---|---|
/// | [`backoff`](Self::backoff) | exponential, 100 ms to 10 s, factor 2, full jitter | 10,000 clients after an outage of 60 s come back with about 200 connections in 100 ms; without jitter all come in one |
/// | [`attempt_timeout`](Self::attempt_timeout) | 10 s | the system's own, about two minutes on Linux (`tcp(7)`, `tcp_syn_retries`), is longer than most callers wait |
/// | [`max_attempts`](Self::max_attempts) | 100 | eight minutes or so of backoff; after that a person should know |
/// | [`max_outage`](Self::max_outage) | none | |
/// | [`stable_after`](Self::stable_after) | 10 s | a peer that accepts and resets at once sees 18 connections in the first minute and 12 in each later one; 1,070 if a mere connect would reset the backoff |
/// | [`eof`](Self::eof) | [`Eof::Reconnect`] | a killed server sends FIN as often as RST |
/// | [`idle_timeout`](Self::idle_timeout) | none | silence is normal in many protocols |
/// | [`classify`](Self::classify) | [`Verdict::of`] | |
///
/// The figures are from a simulation of the policy, the example `herd`
/// (`cargo run --release --example herd -- --clients 10000 --rate 10000000`).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use reconnecting_stream::{Backoff, Policy};
///
/// let policy = Policy::default()
///     .backoff(Backoff::exponential(Duration::from_millis(50)).max(Duration::from_secs(5)))
///     .attempt_timeout(Duration::from_secs(3))
///     .max_attempts(None)
///     .max_outage(Duration::from_secs(300));
/// # let _ = policy;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Policy {
    backoff: Backoff,
    attempt_timeout: Duration,
    max_attempts: Option<u32>,
    max_outage: Option<Duration>,
    stable_after: Duration,
    eof: Eof,
    idle_timeout: Option<Duration>,
    classify: fn(&io::Error, Phase) -> Verdict,
}

/// What the end of the stream means: a read into a buffer with room that returns no byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Eof {
    /// A loss like any other.
    #[default]
    Reconnect,
    /// The reader gets it, and the connection stays: for protocols in which the peer's FIN is
    /// part of the conversation.
    Pass,
}

/// The shortest attempt or idle timeout: Tokio's timers count in milliseconds.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);

impl Policy {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            backoff: Backoff::exponential(Duration::from_millis(100)),
            attempt_timeout: Duration::from_secs(10),
            max_attempts: Some(100),
            max_outage: None,
            stable_after: Duration::from_secs(10),
            eof: Eof::Reconnect,
            idle_timeout: None,
            classify: Verdict::of,
        }
    }

    /// How long to wait before each attempt of an outage, the first included.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How long one attempt may take: the whole future of the connector, name lookup, handshakes
    /// and login included. At least 1 ms; an attempt that is over it fails with
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    pub const fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.attempt_timeout = limit;
        self
    }

    /// How many attempts an outage may have before the stream gives up; `None` for no limit.
    ///
    /// With 0 a connection that is lost is never replaced; the first connection of a stream
    /// still gets its one attempt.
    pub fn max_attempts(mut self, limit: impl Into<Option<u32>>) -> Self {
        self.max_attempts = limit.into();
        self
    }

    /// How long an outage may last before the stream gives up, on Tokio's clock; `None` for no
    /// limit.
    ///
    /// An attempt that is running at that moment is cut off, and no attempt is waited for that
    /// would begin after it. The life of a connection that died before it was
    /// [stable](Self::stable_after) is a part of the outage.
    pub fn max_outage(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.max_outage = limit.into();
        self
    }

    /// How long a connection has to live to end the outage.
    ///
    /// One that dies earlier continues the outage it came from, with its count of attempts and
    /// its backoff, so a peer that accepts and resets is not hammered: several losses in a row
    /// are one outage, whose delays grow.
    pub const fn stable_after(mut self, uptime: Duration) -> Self {
        self.stable_after = uptime;
        self
    }

    /// What the end of the stream means.
    pub const fn eof(mut self, eof: Eof) -> Self {
        self.eof = eof;
        self
    }

    /// A read that has waited this long without a byte is a loss with
    /// [`TimedOut`](io::ErrorKind::TimedOut) as its cause; `None` for never. At least 1 ms.
    ///
    /// It is the only thing that notices a peer that was stopped while nothing is written: its
    /// kernel goes on answering keepalive probes. It doesn't see a write that waits while nobody
    /// reads: that is what the user timeout of the socket is for
    /// (`TcpConnector::user_timeout`), or a deadline of your own and a `reconnect`.
    ///
    /// The wait begins when a read finds nothing, and goes on when that read is dropped and
    /// called again, as in a `select!` loop. If nobody came to read for a whole idle timeout
    /// after it was over, then nobody was waiting, and the next read waits anew.
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = limit.into();
        self
    }

    /// Replaces the classification of errors, [`Verdict::of`]. An error that is marked as
    /// [`Permanent`](crate::Permanent) by the connector doesn't come here.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io;
    /// use reconnecting_stream::{Phase, Policy, Verdict};
    ///
    /// // The name of the server may be published only later.
    /// fn classify(error: &io::Error, phase: Phase) -> Verdict {
    ///     match (error.kind(), phase) {
    ///         (io::ErrorKind::InvalidInput, Phase::Connect { .. }) => Verdict::Lost,
    ///         _ => Verdict::of(error, phase),
    ///     }
    /// }
    ///
    /// let policy = Policy::default().classify(classify);
    /// # let _ = policy;
    /// ```
    pub const fn classify(mut self, classify: fn(&io::Error, Phase) -> Verdict) -> Self {
        self.classify = classify;
        self
    }

    pub(crate) fn verdict(&self, error: &io::Error, phase: Phase) -> Verdict {
        if matches!(phase, Phase::Connect { .. }) && Permanent::is_marked(error) {
            return Verdict::Permanent;
        }
        (self.classify)(error, phase)
    }

    pub(crate) const fn passes_eof(&self) -> bool {
        matches!(self.eof, Eof::Pass)
    }

    #[inline]
    pub(crate) fn idle_limit(&self) -> Option<Duration> {
        self.idle_timeout.map(|limit| limit.max(SHORTEST_TIMEOUT))
    }

    pub(crate) fn attempt_limit(&self) -> Duration {
        self.attempt_timeout.max(SHORTEST_TIMEOUT)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}
