//! The settings.

use std::io;
use std::time::Duration;

use super::backoff::Backoff;
use super::verdict::{Phase, Verdict};

/// The rules for when a connection counts as lost, when to reconnect, and when to give up.
///
/// A policy is a plain value. Its setters can be called in any order, and none of them can fail.
#[cfg_attr(
    feature = "serde",
    doc = "[`docs::config`](crate::docs::config) describes its form in a configuration file."
)]
///
/// # Defaults
///
/// | setting | default | why |
/// |---|---|---|
/// | [`backoff`](Self::backoff) | exponential, 100 ms to 10 s, factor 2, full jitter | after an outage of 60 s, 10,000 clients make at most 238 connections in 100 ms; without jitter they make all of them in the same 100 ms |
/// | [`attempt_timeout`](Self::attempt_timeout) | 10 s | the system's own, about two minutes on Linux (`tcp(7)`, `tcp_syn_retries`), is longer than most callers wait |
/// | [`max_attempts`](Self::max_attempts) | 100 | about eight minutes of backoff; after that an operator should know |
/// | [`max_outage`](Self::max_outage) | none | |
/// | [`stable_after`](Self::stable_after) | 10 s | a peer that accepts and resets immediately gets 18 connections in the first minute and 12 in each later one; it would get 1,070 if a successful connect reset the backoff |
/// | [`eof`](Self::eof) | [`Eof::Reconnect`] | a killed server sends FIN as often as RST |
/// | [`idle_timeout`](Self::idle_timeout) | none | silence is normal in many protocols |
/// | [`classify`](Self::classify) | [`Verdict::of`] | |
///
/// The figures are from a simulation of the policy
/// (`cargo run --release --bin backoff-simulation -- --clients 10000 --rate 10000000`).
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
    pub(super) backoff: Backoff,
    /// At least [`MIN_TIMEOUT`].
    pub(crate) attempt_timeout: Duration,
    pub(super) max_attempts: Option<u32>,
    pub(super) max_outage: Option<Duration>,
    pub(super) stable_after: Duration,
    pub(super) eof: Eof,
    /// At least [`MIN_TIMEOUT`].
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) classify: fn(&io::Error, Phase) -> Verdict,
}

/// The meaning of an end of the stream, which is a read into a buffer with room that returns no
/// byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Eof {
    /// The connection is lost.
    #[default]
    Reconnect,
    /// The reader gets it, and the connection stays open. This is for protocols in which the peer's
    /// FIN has a meaning.
    Pass,
}

/// The shortest attempt or idle timeout. Tokio's timers count in milliseconds.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);

impl Policy {
    /// Returns the default policy.
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

    /// Sets the delays before the attempts of an outage, the first attempt included.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Limits the time of one attempt, which is the whole future of the connector: name lookup,
    /// handshakes and login. The limit is at least 1 ms. An attempt that exceeds it fails with
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    pub const fn attempt_timeout(mut self, limit: Duration) -> Self {
        let is_too_short = limit.as_nanos() < MIN_TIMEOUT.as_nanos();
        self.attempt_timeout = if is_too_short { MIN_TIMEOUT } else { limit };
        self
    }

    /// Limits the attempts of an outage, after which the stream gives up; `None` for no limit.
    ///
    /// With 0 a lost connection is never replaced. The first connection of a stream still gets its
    /// one attempt.
    pub fn max_attempts(mut self, limit: impl Into<Option<u32>>) -> Self {
        self.max_attempts = limit.into();
        self
    }

    /// Limits the duration of an outage on Tokio's clock, after which the stream gives up; `None`
    /// for no limit.
    ///
    /// An attempt that is running at that moment is cancelled. The stream gives up without a wait if
    /// the next attempt would begin after it. Unless the limit is zero,
    /// the first attempt of an outage is made all the same: without a delay, if its delay would
    /// exceed the limit. The lifetime of a connection that died before it was
    /// [stable](Self::stable_after) is part of the outage.
    pub fn max_outage(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.max_outage = limit.into();
        self
    }

    /// Sets how long a connection has to live to end the outage.
    ///
    /// A connection that dies earlier continues the outage that it followed, with its count of
    /// attempts and its backoff. Several losses in a row are then one outage with growing delays,
    /// so a peer that accepts and resets does not get a flood of connections.
    pub const fn stable_after(mut self, uptime: Duration) -> Self {
        self.stable_after = uptime;
        self
    }

    /// Sets the meaning of an end of the stream.
    pub const fn eof(mut self, eof: Eof) -> Self {
        self.eof = eof;
        self
    }

    /// Limits the time that a read waits without a byte; `None` for no limit. After it the
    /// connection is lost, with [`TimedOut`](io::ErrorKind::TimedOut) as the cause. The limit is at
    /// least 1 ms.
    ///
    /// Only this limit detects a peer process that was stopped while nothing is written, because
    /// the peer's kernel continues to answer keepalive probes. It does not detect a write that
    /// waits while no task reads. For that, set the user timeout of the socket
    /// (`TcpConnector::user_timeout`), or use a deadline of your own and `reconnect`.
    ///
    /// The timer starts when a read returns `Pending` and keeps running across cancelled reads, as
    /// in a `select!` loop. If no read is polled for another full timeout after it expires, the
    /// expiry is ignored and the next read restarts it.
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = limit.into().map(|limit| limit.max(MIN_TIMEOUT));
        self
    }

    /// Replaces the classification of errors, [`Verdict::of`]. It is not called for an error that
    /// the connector has marked as [`Permanent`](crate::Permanent).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io;
    /// use reconnecting_stream::{Phase, Policy, Verdict};
    ///
    /// // The name of the server may be registered later than this client starts.
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

    /// Returns true if the reader gets an end of the stream.
    pub(crate) const fn passes_eof(&self) -> bool {
        matches!(self.eof, Eof::Pass)
    }
}

/// Two policies are equal if their settings are. Classifiers are compared by their addresses
/// ([`std::ptr::fn_addr_eq`]): a policy is equal to its clone, but the compiler may give one function
/// two addresses, or two functions with the same body one address.
impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            backoff,
            attempt_timeout,
            max_attempts,
            max_outage,
            stable_after,
            eof,
            idle_timeout,
            classify,
        } = self;
        *backoff == other.backoff
            && *attempt_timeout == other.attempt_timeout
            && *max_attempts == other.max_attempts
            && *max_outage == other.max_outage
            && *stable_after == other.stable_after
            && *eof == other.eof
            && *idle_timeout == other.idle_timeout
            && std::ptr::fn_addr_eq(*classify, other.classify)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_equal_to_its_clone_and_differs_in_each_setting() {
        fn surfaces(_: &io::Error, phase: Phase) -> Verdict {
            match phase {
                Phase::Read => Verdict::Surface,
                _ => Verdict::Permanent,
            }
        }
        let second = Duration::from_secs(1);
        let policy = Policy::new();
        assert_eq!(policy.clone(), policy);
        assert_eq!(
            policy.clone().classify(surfaces),
            policy.clone().classify(surfaces)
        );
        for other in [
            policy.clone().backoff(Backoff::none()),
            policy.clone().attempt_timeout(second),
            policy.clone().max_attempts(1),
            policy.clone().max_outage(second),
            policy.clone().stable_after(second),
            policy.clone().eof(Eof::Pass),
            policy.clone().idle_timeout(second),
            policy.clone().classify(surfaces),
        ] {
            assert_ne!(other, policy);
        }
    }
}
