//! The rules of an outage: what continues it, what ends it, and when the next attempt is due.

use std::time::{Duration, Instant};

use super::backoff::Schedule;
use super::policy::Policy;

/// The downtime after which a warning is logged.
const LONG_OUTAGE: Duration = Duration::from_secs(30);

/// The time from a loss until a later connection is stable.
#[derive(Debug)]
pub(crate) struct Outage {
    since: Instant,
    /// The number of attempts that were started.
    pub(crate) attempts: u32,
    /// Created for the first delay, because the factory of a schedule is code of the user.
    schedule: Option<Schedule>,
    warning: Warning,
}

/// Whether the warning of a long outage was logged.
#[derive(Debug)]
enum Warning {
    Due,
    Logged,
}

impl Outage {
    pub(crate) fn begin(now: Instant) -> Self {
        Self {
            since: now,
            attempts: 0,
            schedule: None,
            warning: Warning::Due,
        }
    }

    /// Returns the outage that a loss belongs to. This is the previous outage, unless the connection
    /// that ended it was stable or lived for longer than an outage may last.
    pub(crate) fn after_loss(
        before: Option<Self>,
        connected_at: Instant,
        policy: &Policy,
        now: Instant,
    ) -> Self {
        let uptime = now.saturating_duration_since(connected_at);
        let is_over = uptime >= policy.stable_after
            || policy.max_outage.is_some_and(|longest| uptime > longest);
        match before {
            Some(outage) if !is_over => outage,
            Some(_) | None => Self::begin(now),
        }
    }

    /// Returns the delay before the next attempt, or `None` to give up. `random` is in `[0, 1)`.
    ///
    /// If `max_outage` is shorter than the first delay, the outage still gets one attempt, without
    /// a delay. An outage that may not last at all gets none.
    pub(crate) fn next_delay(
        &mut self,
        policy: &Policy,
        now: Instant,
        random: f64,
    ) -> Option<Duration> {
        if policy.max_attempts.is_some_and(|max| self.attempts >= max) {
            return None;
        }
        let schedule = self
            .schedule
            .get_or_insert_with(|| policy.backoff.schedule());
        let delay = schedule.next(&policy.backoff, random)?;
        let Some(max) = policy.max_outage else {
            return Some(delay);
        };
        let remaining = max.saturating_sub(self.downtime(now));
        if delay < remaining {
            Some(delay)
        } else if remaining.is_zero() {
            None
        } else {
            (self.attempts == 0).then_some(Duration::ZERO)
        }
    }

    /// Counts an attempt, and returns its number.
    pub(crate) fn start_attempt(&mut self) -> u32 {
        self.attempts = self.attempts.saturating_add(1);
        self.attempts
    }

    /// Returns how long an attempt that starts now may take.
    pub(crate) fn attempt_limit(&self, policy: &Policy, now: Instant) -> Duration {
        let limit = policy.attempt_timeout;
        policy.max_outage.map_or(limit, |max| {
            limit.min(max.saturating_sub(self.downtime(now)))
        })
    }

    /// Returns whether an attempt may begin at this time.
    #[cfg(feature = "session")]
    pub(crate) fn may_last_until(&self, policy: &Policy, at: Instant) -> bool {
        policy.max_outage.is_none_or(|max| self.downtime(at) < max)
    }

    pub(crate) fn downtime(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Returns the attempts and the downtime, once, when the outage has become a long one.
    pub(crate) fn take_warning(&mut self, now: Instant) -> Option<Box<(u32, Duration)>> {
        let downtime = self.downtime(now);
        if matches!(self.warning, Warning::Logged) || downtime < LONG_OUTAGE {
            return None;
        }
        self.warning = Warning::Logged;
        Some(Box::new((self.attempts, downtime)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::backoff::{Backoff, Jitter};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> Policy {
        Policy::default().backoff(Backoff::exponential(SECOND).jitter(Jitter::None))
    }

    /// Returns the seconds at which attempts start until the stream gives up, if each fails immediately.
    fn attempts(policy: &Policy) -> Vec<u64> {
        let start = Instant::now();
        let mut outage = Outage::begin(start);
        let mut now = start;
        std::iter::from_fn(|| {
            now += outage.next_delay(policy, now, 0.0)?;
            outage.start_attempt();
            Some((now - start).as_secs())
        })
        .collect()
    }

    #[test]
    fn an_outage_ends_after_max_attempts() {
        assert_eq!(attempts(&policy().max_attempts(4)), [1, 3, 7, 15]);
        assert!(attempts(&policy().max_attempts(0)).is_empty());
        assert_eq!(attempts(&policy()).len(), 100);
    }

    #[test]
    fn an_outage_ends_after_max_outage_and_no_attempt_begins_later() {
        let policy = policy().max_attempts(None);
        assert_eq!(attempts(&policy.clone().max_outage(7 * SECOND)), [1, 3]);
        assert!(attempts(&policy.max_outage(Duration::ZERO)).is_empty());
    }

    #[test]
    fn an_outage_that_may_not_last_for_the_first_delay_gets_one_attempt() {
        let policy = policy().max_outage(SECOND / 2);
        assert_eq!(attempts(&policy), [0]);
    }

    #[test]
    fn a_connection_that_has_lived_for_longer_than_an_outage_may_last_begins_a_new_one() {
        let policy = policy().stable_after(10 * SECOND).max_outage(3 * SECOND);
        let start = Instant::now();
        let mut outage = Outage::begin(start);
        outage.next_delay(&policy, start, 0.0);
        outage.start_attempt();
        for (uptime, attempts) in [(SECOND, 1), (3 * SECOND, 1), (4 * SECOND, 0)] {
            let before = Outage {
                since: outage.since,
                attempts: outage.attempts,
                schedule: None,
                warning: Warning::Due,
            };
            let now = start + uptime;
            let mut outage = Outage::after_loss(Some(before), start, &policy, now);
            assert_eq!(outage.attempts, attempts, "{uptime:?}");
            let is_retried = outage.next_delay(&policy, now, 0.0).is_some();
            assert_eq!(is_retried, uptime != 3 * SECOND, "{uptime:?}");
        }
    }

    #[test]
    fn an_attempt_is_cut_off_at_the_end_of_the_outage() {
        let policy = policy().attempt_timeout(5 * SECOND).max_outage(12 * SECOND);
        let start = Instant::now();
        let outage = Outage::begin(start);
        assert_eq!(outage.attempt_limit(&policy, start), 5 * SECOND);
        let late = start + 10 * SECOND;
        assert_eq!(outage.attempt_limit(&policy, late), 2 * SECOND);
        assert_eq!(
            outage.attempt_limit(&policy, start + 99 * SECOND),
            Duration::ZERO
        );
    }

    #[test]
    fn a_connection_that_dies_young_continues_the_outage() {
        let policy = policy().stable_after(10 * SECOND);
        let start = Instant::now();
        let mut outage = Outage::begin(start);
        outage.next_delay(&policy, start, 0.0);
        outage.start_attempt();

        let connected_at = start + SECOND;
        let young = connected_at + 10 * SECOND - Duration::from_nanos(1);
        let mut outage = Outage::after_loss(Some(outage), connected_at, &policy, young);
        assert_eq!(outage.attempts, 1);
        assert_eq!(outage.next_delay(&policy, young, 0.0), Some(2 * SECOND));
        assert_eq!(outage.downtime(young), young - start);

        let old = connected_at + 10 * SECOND;
        let mut outage = Outage::after_loss(Some(outage), connected_at, &policy, old);
        assert_eq!(outage.attempts, 0);
        assert_eq!(outage.next_delay(&policy, old, 0.0), Some(SECOND));
        assert_eq!(outage.downtime(old), Duration::ZERO);
    }

    #[test]
    fn the_attempts_of_a_flapping_connection_grow_with_the_logarithm_until_the_cap() {
        // The peer accepts and resets immediately, for an hour.
        let policy = policy().max_attempts(None);
        let start = Instant::now();
        let mut now = start;
        let mut outage = Outage::begin(now);
        let mut times = Vec::new();
        while now < start + 3600 * SECOND {
            now += outage.next_delay(&policy, now, 0.0).unwrap();
            outage.start_attempt();
            times.push((now - start).as_secs());
            outage = Outage::after_loss(Some(outage), now, &policy, now);
        }
        assert_eq!(times[..5], [1, 3, 7, 15, 25]);
        assert_eq!(times.len(), 4 + 359);
    }

    #[test]
    fn a_long_outage_is_logged_in_one_warning() {
        let start = Instant::now();
        let mut outage = Outage::begin(start);
        let warned: Vec<_> = [0, 29, 30, 31, 300]
            .map(|seconds| outage.take_warning(start + seconds * SECOND).is_some())
            .into();
        assert_eq!(warned, [false, false, true, false, false]);
    }

    #[test]
    fn the_longest_delay_is_no_reason_to_give_up() {
        let policy = policy().backoff(Backoff::constant(Duration::MAX));
        assert_eq!(
            Outage::begin(Instant::now()).next_delay(&policy, Instant::now(), 0.0),
            Some(Duration::MAX)
        );
    }

    #[test]
    fn counters_and_clocks_saturate() {
        let policy = policy().max_attempts(None);
        let start = Instant::now();
        let mut outage = Outage::begin(start + SECOND);
        outage.attempts = u32::MAX;
        assert_eq!(outage.start_attempt(), u32::MAX);
        assert_eq!(outage.downtime(start), Duration::ZERO);
        assert!(outage.next_delay(&policy, start, 0.0).is_some());
    }
}
