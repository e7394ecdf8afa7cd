//! The adapter for schedules of the `backoff` crate.

use std::time::Duration;

use super::backoff::Backoff;

impl Backoff {
    /// Returns a backoff that uses a schedule of the [`backoff`](::backoff) crate, for code that has
    /// one already.
    ///
    /// That crate is unmaintained (RUSTSEC-2025-0012). It depends on `instant`, which is also
    /// unmaintained (RUSTSEC-2024-0384). Prefer [`exponential`](Self::exponential), whose delays
    /// grow in the same way.
    ///
    /// The schedule is cloned and reset at the start of each outage, because its
    /// `max_elapsed_time` would otherwise run from its construction. It reads the system's clock,
    /// not Tokio's. The stream gives up when the schedule ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use backoff::ExponentialBackoff;
    /// use reconnecting_stream::{Backoff, Policy};
    ///
    /// let schedule = ExponentialBackoff { max_elapsed_time: None, ..Default::default() };
    /// let policy = Policy::default().backoff(Backoff::from_backoff_crate(schedule));
    /// # let _ = policy;
    /// ```
    pub fn from_backoff_crate<B>(schedule: B) -> Self
    where
        B: backoff::backoff::Backoff + Clone + Send + Sync + 'static,
    {
        Self::from_factory(move || {
            let mut schedule = schedule.clone();
            schedule.reset();
            ResetSchedule(schedule)
        })
    }
}

/// A schedule that was reset at the start of its outage.
struct ResetSchedule<B>(B);

impl<B: backoff::backoff::Backoff> Iterator for ResetSchedule<B> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next_backoff()
    }
}

#[cfg(test)]
mod tests {
    use backoff::ExponentialBackoff;

    use super::*;

    #[test]
    fn the_elapsed_time_runs_from_the_start_of_the_outage() {
        let schedule = ExponentialBackoff {
            max_elapsed_time: Some(Duration::from_millis(40)),
            initial_interval: Duration::from_millis(1),
            randomization_factor: 0.0,
            ..Default::default()
        };
        // The clock of the schedule can't be set, so this test has to sleep.
        std::thread::sleep(Duration::from_millis(60));
        assert!(
            ResetSchedule(schedule.clone()).next().is_none(),
            "the control"
        );

        let backoff = Backoff::from_backoff_crate(schedule);
        let first = backoff.schedule().next(&backoff, 0.0);
        assert_eq!(first, Some(Duration::from_millis(1)));
    }
}
