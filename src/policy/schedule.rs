//! The position of an outage in its backoff.

use std::fmt;
use std::time::Duration;

use sync_wrapper::SyncWrapper;

use super::backoff::{Backoff, Delays, Jitter};

/// The shortest delay of full jitter.
const MIN_FULL_JITTER: Duration = Duration::from_millis(10);

/// The position of an outage in the delays of its [`Backoff`].
pub(super) enum Schedule {
    Exponential { next: Duration, factor: f64 },
    Iterated(SyncWrapper<Delays>),
}

impl Schedule {
    /// Returns the next delay, or `None` once the iterator has ended. `random` is in `[0, 1)`.
    pub(super) fn next(&mut self, backoff: &Backoff, random: f64) -> Option<Duration> {
        let longest = match self {
            Self::Exponential { next, factor } => {
                let longest = (*next).min(backoff.max);
                *next = saturating_mul(longest, *factor);
                longest
            }
            Self::Iterated(delays) => delays.get_mut().next()?.min(backoff.max),
        };
        Some(backoff.jitter.spread(longest, random))
    }
}

impl Jitter {
    /// Returns a delay in the range of this jitter, which ends at `longest`.
    fn spread(self, longest: Duration, random: f64) -> Duration {
        let shortest = match self {
            Self::None => longest,
            Self::Full => MIN_FULL_JITTER.min(longest),
            Self::Equal => longest / 2,
        };
        let span = saturating_mul(longest - shortest, random.clamp(0.0, 1.0));
        shortest.saturating_add(span).min(longest)
    }
}

/// Multiplies a duration by a factor that is neither negative nor NaN.
fn saturating_mul(duration: Duration, factor: f64) -> Duration {
    if duration.is_zero() {
        return duration;
    }
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exponential { next, .. } => f.debug_tuple("Exponential").field(next).finish(),
            Self::Iterated(_) => f.debug_tuple("Iterated").finish_non_exhaustive(),
        }
    }
}
