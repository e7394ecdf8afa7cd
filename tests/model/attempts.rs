//! The reference of outages: when attempts begin, how they end, and when the outage is given up.

use std::collections::VecDeque;
use std::io::ErrorKind;

use super::outcome::{Failure, Inner, PollOutcome, ms};
use super::plan::{Ms, Rules};
use super::state::{ConnState, ObservedState};
use super::support::{Fault, Outcome};

#[derive(Clone, Debug)]
pub struct Attempts {
    pub rules: Rules,
    pub now: Ms,
    pub state: ConnState,
    /// Of the latest connection.
    pub generation: u64,
    /// What the connector was told, each time.
    pub dialed: Vec<Dialed>,
    /// What the next attempts meet; then they are accepted.
    script: VecDeque<Outcome>,
    outage: Option<Outage>,
    last_error: Option<ErrorKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialed {
    pub at: Ms,
    pub number: u32,
    pub generation: u64,
    pub downtime: Ms,
    pub last_error: Option<ErrorKind>,
}

#[derive(Clone, Debug)]
struct Outage {
    since: Ms,
    attempts: u32,
    /// How many delays have been taken from the backoff.
    delays: u32,
}

impl Attempts {
    /// Before the first attempt.
    pub fn new(rules: Rules, script: impl IntoIterator<Item = Outcome>) -> Self {
        Self {
            rules,
            now: 0,
            state: backoff(1, 0, 0),
            generation: 0,
            dialed: Vec::new(),
            script: script.into_iter().collect(),
            outage: None,
            last_error: None,
        }
    }

    pub fn is_connected(&self) -> bool {
        matches!(self.state, ConnState::Connected { .. })
    }

    pub fn is_connecting(&self) -> bool {
        matches!(self.state, ConnState::Connecting { .. })
    }

    /// The one attempt of a stream that begins connected: no outage comes before it.
    pub fn connect_first(&mut self) {
        self.begin_attempt();
        self.outage = None;
        self.succeed();
    }

    /// One step towards a connection: an answer if it leads no further now, and the fault that a
    /// new connection has from the beginning.
    pub fn poll(&mut self) -> (Option<PollOutcome>, Option<Fault>) {
        match self.state {
            ConnState::Backoff { due, .. } if self.now < due => (Some(PollOutcome::Pending), None),
            ConnState::Backoff {
                ref mut has_to_yield,
                ..
            } if *has_to_yield => {
                *has_to_yield = false;
                (Some(PollOutcome::Pending), None)
            }
            ConnState::Backoff { .. } => (self.begin_attempt(), None),
            ConnState::Connecting {
                began,
                limit,
                outcome,
                ..
            } => self.meet(outcome, self.now - began, limit),
            _ => (None, None),
        }
    }

    pub fn lose(&mut self, cause: ErrorKind) {
        let ConnState::Connected { since, .. } = self.state else {
            unreachable!("nothing to lose");
        };
        let uptime = self.now - since;
        let outlived = self.rules.max_outage.is_some_and(|max| uptime > max);
        if uptime >= self.rules.stable_after || outlived {
            self.outage = None;
        }
        self.last_error = Some(cause);
        self.retry();
    }

    /// On demand: without a delay, and not for the limits to forbid. An attempt that is due is not
    /// put off.
    pub fn reconnect(&mut self) {
        match self.state {
            ConnState::Connected { .. } => {
                self.last_error = Some(ErrorKind::ConnectionAborted);
                self.outage = None;
            }
            ConnState::Backoff { delay: 0, .. } => return,
            ConnState::Backoff { .. }
            | ConnState::Connecting { .. }
            | ConnState::GaveUp(_)
            | ConnState::Closed => {}
        }
        let attempt = self.outage().attempts + 1;
        self.state = backoff(attempt, 0, self.now);
    }

    pub fn deadline(&self) -> Option<Ms> {
        match self.state {
            ConnState::Backoff { due, .. } => Some(due),
            ConnState::Connecting {
                began,
                limit,
                outcome: Outcome::AcceptsAfter(time),
                ..
            } => Some(began + ms(time).min(limit)),
            ConnState::Connecting { began, limit, .. } => Some(began + limit),
            ConnState::Connected { .. } | ConnState::GaveUp(_) | ConnState::Closed => None,
        }
    }

    pub fn observed_state(&self) -> ObservedState {
        match self.state {
            ConnState::Connected { generation, .. } => ObservedState::Connected(generation),
            ConnState::Backoff { attempt, delay, .. } => ObservedState::Backoff { attempt, delay },
            ConnState::Connecting { attempt, .. } => ObservedState::Connecting(attempt),
            ConnState::GaveUp(_) => ObservedState::GaveUp,
            ConnState::Closed => ObservedState::Closed,
        }
    }

    fn outage(&mut self) -> &mut Outage {
        self.outage.get_or_insert(Outage {
            since: self.now,
            attempts: 0,
            delays: 0,
        })
    }

    fn begin_attempt(&mut self) -> Option<PollOutcome> {
        let now = self.now;
        let outage = self.outage();
        outage.attempts += 1;
        let (attempt, downtime) = (outage.attempts, now - outage.since);
        self.dialed.push(Dialed {
            at: now,
            number: attempt,
            generation: self.generation + 1,
            downtime,
            last_error: self.last_error,
        });
        let outcome = self.script.pop_front().unwrap_or(Outcome::Accepts);
        if outcome == Outcome::ConnectorPanics {
            self.fail(ErrorKind::Other);
            return Some(PollOutcome::Panicked);
        }
        let left = self.left(downtime);
        self.state = ConnState::Connecting {
            attempt,
            began: now,
            limit: left.map_or(self.rules.attempt_timeout, |left| {
                left.min(self.rules.attempt_timeout)
            }),
            outcome,
        };
        None
    }

    /// What an attempt has come to that has been running for so long.
    fn meet(
        &mut self,
        outcome: Outcome,
        running: Ms,
        limit: Ms,
    ) -> (Option<PollOutcome>, Option<Fault>) {
        let mut fault = None;
        match outcome {
            Outcome::Accepts => self.succeed(),
            Outcome::AcceptsAfter(time) if running >= ms(time) => self.succeed(),
            Outcome::AcceptsThen(from_the_beginning) => {
                fault = Some(from_the_beginning);
                self.succeed();
            }
            Outcome::Refuses(kind) => self.fail(kind),
            Outcome::RefusesForGood => self.give_up(ErrorKind::Other),
            Outcome::AcceptsAfter(_) | Outcome::Hangs if running >= limit => {
                self.fail(ErrorKind::TimedOut);
            }
            Outcome::AcceptsAfter(_) | Outcome::Hangs => return (Some(PollOutcome::Pending), None),
            Outcome::Panics | Outcome::ConnectorPanics => {
                self.fail(ErrorKind::Other);
                return (Some(PollOutcome::Panicked), None);
            }
        }
        (None, fault)
    }

    fn succeed(&mut self) {
        self.generation += 1;
        self.last_error = None;
        self.state = ConnState::Connected {
            generation: self.generation,
            since: self.now,
        };
    }

    fn fail(&mut self, kind: ErrorKind) {
        let is_permanent = match kind {
            ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::Unsupported => true,
            ErrorKind::PermissionDenied => self.generation == 0,
            _ => false,
        };
        self.last_error = Some(kind);
        if is_permanent {
            self.give_up(kind);
        } else {
            self.retry();
        }
    }

    /// How much time an outage that has lasted so long has left.
    fn left(&self, downtime: Ms) -> Option<Ms> {
        let max = self.rules.max_outage?;
        Some(max.saturating_sub(downtime))
    }

    fn retry(&mut self) {
        let now = self.now;
        let outage = self.outage();
        let (attempts, delays, downtime) = (outage.attempts, outage.delays, now - outage.since);
        outage.delays += 1;
        let may_try = self.rules.max_attempts.is_none_or(|max| attempts < max);
        let in_time = |delay: Ms| match self.left(downtime) {
            Some(0) => None,
            Some(left) if delay >= left => (attempts == 0).then_some(0),
            Some(_) | None => Some(delay),
        };
        let delay = self.rules.delays.nth(delays).and_then(in_time);
        match delay.filter(|_| may_try) {
            Some(delay) => self.state = backoff(attempts + 1, delay, now),
            None => self.give_up(self.last_error.expect("something has failed")),
        }
    }

    fn give_up(&mut self, kind: ErrorKind) {
        let now = self.now;
        let outage = self.outage();
        let inner = Inner::GaveUp {
            attempts: outage.attempts,
            outage: now - outage.since,
        };
        self.state = ConnState::GaveUp(Failure { kind, inner });
        self.outage = None;
        self.last_error = Some(kind);
    }
}

fn backoff(attempt: u32, delay: Ms, now: Ms) -> ConnState {
    ConnState::Backoff {
        attempt,
        delay,
        due: now + delay,
        has_to_yield: delay == 0,
    }
}
