//! How long to wait before each attempt.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sync_wrapper::SyncWrapper;

use super::schedule::{Delays, Schedule};

/// How long to wait before each attempt of an outage.
///
/// # Defaults
///
/// [`exponential`](Self::exponential) doubles up to 10 s with [`Jitter::Full`];
/// [`constant`](Self::constant) and [`from_factory`](Self::from_factory) take what they are given.
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

#[derive(Clone)]
enum Base {
    Exponential { initial: Duration, factor: f64 },
    Factory(Arc<dyn Fn() -> Delays + Send + Sync>),
}

/// How the delays of many clients are spread, so that they don't come back all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Jitter {
    /// Not at all.
    None,
    /// Anywhere between 10 ms and the delay: the shortest queue at the server.
    Full,
    /// Anywhere between half of the delay and the delay.
    Equal,
}

impl Backoff {
    /// Delays that grow from `initial`, which is at least 1 ms.
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

    /// The same delay every time, without jitter.
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

    /// No delay. Attempts follow each other as fast as they fail, and as long as
    /// [`max_attempts`](crate::Policy::max_attempts) allows: a closed port on this machine refuses
    /// thousands a second, at the price of a whole core. Between two of them the task yields.
    pub const fn none() -> Self {
        Self::constant(Duration::ZERO)
    }

    /// Delays from an iterator, made anew for each outage; where it ends the stream gives up.
    ///
    /// A `Vec`, an array and the builders of the `backon` crate fit. The delays are taken as they
    /// are; [`max`](Self::max) and [`jitter`](Self::jitter) change them, [`factor`](Self::factor)
    /// does not.
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

    /// What each delay is multiplied with to get the next. Below 1, and NaN, count as 1.
    pub const fn factor(mut self, by: f64) -> Self {
        if let Base::Exponential { factor, .. } = &mut self.base {
            *factor = if by >= 1.0 { by } else { 1.0 };
        }
        self
    }

    /// The longest delay, jitter included. With zero there is no delay, as with
    /// [`none`](Self::none).
    pub const fn max(mut self, delay: Duration) -> Self {
        self.max = delay;
        self
    }

    /// How the delays are spread.
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The delays of one outage, from the first, as a stream waits for them: to show a schedule in
    /// a log or a test, or to simulate many clients. Nothing is waited for here.
    ///
    /// `random` is asked once for each delay, for a number in `[0, 1)`; one outside counts as the
    /// nearest bound. The iterator is endless, or ends with its
    /// [factory](Self::from_factory)'s: [`max_attempts`](crate::Policy::max_attempts) belongs to
    /// the policy.
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
    /// // What one client may wait.
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

    /// Starts from the beginning, as each outage does.
    pub(super) fn schedule(&self) -> Schedule {
        match &self.base {
            Base::Exponential { initial, .. } => Schedule::Exponential { next: *initial },
            Base::Factory(delays) => Schedule::Iterated(SyncWrapper::new(delays())),
        }
    }

    /// The first delay, before its jitter; `None` for a factory's.
    #[cfg(feature = "serde")]
    pub(super) fn initial(&self) -> Option<Duration> {
        match self.base {
            Base::Exponential { initial, .. } => Some(initial),
            Base::Factory(_) => None,
        }
    }

    /// At least 1.
    pub(super) fn factor_of_growth(&self) -> f64 {
        match self.base {
            Base::Exponential { factor, .. } => factor,
            Base::Factory(_) => 1.0,
        }
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Backoff");
        match &self.base {
            Base::Exponential { initial, factor } => {
                out.field("initial", initial).field("factor", factor)
            }
            Base::Factory(_) => out.field("delays", &"from a factory"),
        };
        out.field("max", &self.max)
            .field("jitter", &self.jitter)
            .finish()
    }
}
