//! The delays before the attempts of an outage.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sync_wrapper::SyncWrapper;

/// The delays before the attempts of an outage.
///
/// # Defaults
///
/// [`exponential`](Self::exponential) doubles up to 10 s with [`Jitter::Full`];
/// [`constant`](Self::constant) and [`from_factory`](Self::from_factory) use the given delays
/// without a cap and without jitter.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use reconnecting_stream::{Backoff, Jitter};
///
/// let patient = Backoff::exponential(Duration::from_millis(200))
///     .factor(1.5)
///     .max(Duration::from_secs(30))
///     .jitter(Jitter::Equal);
///
/// // Three attempts, then give up.
/// let schedule = [1, 5, 30].map(Duration::from_secs);
/// let fixed = Backoff::from_factory(move || schedule);
/// # let _ = (patient, fixed);
/// ```
#[derive(Clone)]
#[must_use]
pub struct Backoff {
    base: Base,
    pub(super) max: Duration,
    pub(super) jitter: Jitter,
}

type Delays = Box<dyn Iterator<Item = Duration> + Send>;

#[derive(Clone)]
enum Base {
    Exponential { initial: Duration, factor: f64 },
    Factory(Arc<dyn Fn() -> Delays + Send + Sync>),
}

/// The random part of each delay, which keeps many clients from reconnecting at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Jitter {
    /// No random part. The delay is used as it is.
    None,
    /// A uniform value between 10 ms and the delay. Clients that begin at the same time
    /// are spread from the first attempt on.
    Full,
    /// A uniform value between half of the delay and the delay.
    Equal,
}

impl Backoff {
    /// Returns a backoff whose delays grow exponentially from `initial`, which is at least 1 ms.
    pub const fn exponential(initial: Duration) -> Self {
        let initial = if initial.as_nanos() < 1_000_000 {
            Duration::from_millis(1)
        } else {
            initial
        };
        Self {
            base: Base::Exponential {
                initial,
                factor: 2.0,
            },
            max: Duration::from_secs(10),
            jitter: Jitter::Full,
        }
    }

    /// Returns a backoff that has the same delay every time, without jitter.
    pub const fn constant(delay: Duration) -> Self {
        Self {
            base: Base::Exponential {
                initial: delay,
                factor: 1.0,
            },
            max: Duration::MAX,
            jitter: Jitter::None,
        }
    }

    /// Returns a backoff without delays. Attempts follow each other as fast as they fail, up to
    /// [`max_attempts`](crate::Policy::max_attempts). A closed port on this machine refuses
    /// thousands of attempts a second, which uses a whole core. The task yields between two
    /// attempts.
    pub const fn none() -> Self {
        Self::constant(Duration::ZERO)
    }

    /// Returns a backoff whose delays come from an iterator. `factory` makes a new iterator for
    /// each outage. The stream gives up when the iterator ends.
    ///
    /// The factory may return a `Vec`, an array or a builder of the `backon` crate. The delays are
    /// used as they are. [`max`](Self::max) and [`jitter`](Self::jitter) apply to them,
    /// [`factor`](Self::factor) does not.
    pub fn from_factory<F, I>(factory: F) -> Self
    where
        F: Fn() -> I + Send + Sync + 'static,
        I: IntoIterator<Item = Duration>,
        I::IntoIter: Send + 'static,
    {
        Self {
            base: Base::Factory(Arc::new(move || Box::new(factory().into_iter()))),
            max: Duration::MAX,
            jitter: Jitter::None,
        }
    }

    /// Sets the factor by which each delay is multiplied to get the next. Values below 1, and NaN,
    /// count as 1.
    pub const fn factor(mut self, by: f64) -> Self {
        if let Base::Exponential { factor, .. } = &mut self.base {
            *factor = if by >= 1.0 { by } else { 1.0 };
        }
        self
    }

    /// Limits the delays, jitter included. With zero there is no delay, as with
    /// [`none`](Self::none).
    pub const fn max(mut self, delay: Duration) -> Self {
        self.max = delay;
        self
    }

    /// Sets the jitter of the delays.
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Returns the delays of one outage, from the first, as a stream would use them. Call this to
    /// show a schedule in a log or a test, or to simulate many clients. It does not wait.
    ///
    /// `random` is called once for each delay and returns a number in `[0, 1)`. A number outside
    /// counts as the nearest bound. The iterator is endless, or ends with that of its
    /// [factory](Self::from_factory). [`max_attempts`](crate::Policy::max_attempts) does not limit
    /// it, because it belongs to the policy.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use reconnecting_stream::Backoff;
    ///
    /// let backoff = Backoff::exponential(Duration::from_millis(100)).max(Duration::from_secs(1));
    /// let longest: Vec<_> = backoff.delays(|| 1.0).take(5).collect();
    /// assert_eq!(longest, [100, 200, 400, 800, 1000].map(Duration::from_millis));
    ///
    /// // The delays of one client.
    /// for delay in backoff.delays(fastrand::f64).take(5) {
    ///     println!("{delay:?}");
    /// }
    /// ```
    pub fn delays<R>(&self, mut random: R) -> impl Iterator<Item = Duration> + use<'_, R>
    where
        R: FnMut() -> f64,
    {
        let mut schedule = self.schedule();
        std::iter::from_fn(move || schedule.next(self, random()))
    }

    /// Returns a schedule at its first delay. Each outage has its own.
    pub(super) fn schedule(&self) -> Schedule {
        match &self.base {
            Base::Exponential { initial, factor } => Schedule::Exponential {
                next: *initial,
                factor: *factor,
            },
            Base::Factory(delays) => Schedule::Iterated(SyncWrapper::new(delays())),
        }
    }

    /// Returns the first delay before its jitter, or `None` for a factory.
    #[cfg(feature = "serde")]
    pub(super) fn initial(&self) -> Option<Duration> {
        match self.base {
            Base::Exponential { initial, .. } => Some(initial),
            Base::Factory(_) => None,
        }
    }

    /// Returns the factor of the delays, which is at least 1.
    #[cfg(feature = "serde")]
    pub(super) fn factor_of_growth(&self) -> f64 {
        match self.base {
            Base::Exponential { factor, .. } => factor,
            Base::Factory(_) => 1.0,
        }
    }
}

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

#[cfg(test)]
mod tests;
mod traits;
