//! The reference of outages: when attempts begin, what becomes of them, and when it is enough.

use std::collections::VecDeque;
use std::io::ErrorKind;

use super::answer::{Answer, Failure, Inside, Sight, ms};
use super::plan::{Ms, Rules};
use super::support::{Fault, Outcome};

#[derive(Clone, Debug)]
pub struct Dialer {
    pub rules: Rules,
    pub now: Ms,
    pub place: Place,
    /// Of the latest connection.
    pub generation: u64,
    /// What the connector was told, each time.
    pub dialed: Vec<Dialed>,
    /// What the next attempts meet; then they are accepted.
    script: VecDeque<Outcome>,
    outage: Option<Outage>,
    last_error: Option<ErrorKind>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Connected {
        generation: u64,
        since: Ms,
    },
    Backoff {
        attempt: u32,
        delay: Ms,
        due: Ms,
        /// Even without a delay the task yields, once.
        has_to_yield: bool,
    },
    Connecting {
        attempt: u32,
        began: Ms,
        limit: Ms,
        outcome: Outcome,
    },
    GaveUp(Failure),
    Closed,
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

impl Dialer {
    /// Before the first attempt.
    pub fn new(rules: Rules, script: impl IntoIterator<Item = Outcome>) -> Self {
        Self {
            rules,
            now: 0,
            place: backoff(1, 0, 0),
            generation: 0,
            dialed: Vec::new(),
            script: script.into_iter().collect(),
            outage: None,
            last_error: None,
        }
    }

    pub fn is_connected(&self) -> bool {
        matches!(self.place, Place::Connected { .. })
    }

    pub fn is_connecting(&self) -> bool {
        matches!(self.place, Place::Connecting { .. })
    }

    /// The one attempt of a stream that begins connected: no outage comes before it.
    pub fn connect_first(&mut self) {
        self.begin_attempt();
        self.outage = None;
        self.succeed();
    }

    /// One step towards a connection: an answer if it leads no further now, and the fault that a
    /// new connection has from the beginning.
    pub fn poll(&mut self) -> (Option<Answer>, Option<Fault>) {
        match self.place {
            Place::Backoff { due, .. } if self.now < due => (Some(Answer::Pending), None),
            Place::Backoff {
                ref mut has_to_yield,
                ..
            } if *has_to_yield => {
                *has_to_yield = false;
                (Some(Answer::Pending), None)
            }
            Place::Backoff { .. } => (self.begin_attempt(), None),
            Place::Connecting {
                began,
                limit,
                outcome,
                ..
            } => self.meet(outcome, self.now - began, limit),
            _ => (None, None),
        }
    }

    pub fn lose(&mut self, cause: ErrorKind) {
        let Place::Connected { since, .. } = self.place else {
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
    pub fn redial(&mut self) {
        match self.place {
            Place::Connected { .. } => {
                self.last_error = Some(ErrorKind::ConnectionAborted);
                self.outage = None;
            }
            Place::Backoff { delay: 0, .. } => return,
            Place::Backoff { .. } | Place::Connecting { .. } | Place::GaveUp(_) | Place::Closed => {
            }
        }
        let attempt = self.outage().attempts + 1;
        self.place = backoff(attempt, 0, self.now);
    }

    pub fn deadline(&self) -> Option<Ms> {
        match self.place {
            Place::Backoff { due, .. } => Some(due),
            Place::Connecting {
                began,
                limit,
                outcome: Outcome::AcceptsAfter(time),
                ..
            } => Some(began + ms(time).min(limit)),
            Place::Connecting { began, limit, .. } => Some(began + limit),
            Place::Connected { .. } | Place::GaveUp(_) | Place::Closed => None,
        }
    }

    pub fn sight(&self) -> Sight {
        match self.place {
            Place::Connected { generation, .. } => Sight::Connected(generation),
            Place::Backoff { attempt, delay, .. } => Sight::Backoff { attempt, delay },
            Place::Connecting { attempt, .. } => Sight::Connecting(attempt),
            Place::GaveUp(_) => Sight::GaveUp,
            Place::Closed => Sight::Closed,
        }
    }

    fn outage(&mut self) -> &mut Outage {
        self.outage.get_or_insert(Outage {
            since: self.now,
            attempts: 0,
            delays: 0,
        })
    }

    fn begin_attempt(&mut self) -> Option<Answer> {
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
        if outcome == Outcome::PanicsAtOnce {
            self.fail(ErrorKind::Other);
            return Some(Answer::Panicked);
        }
        let left = self.left(downtime);
        self.place = Place::Connecting {
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
    ) -> (Option<Answer>, Option<Fault>) {
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
            Outcome::AcceptsAfter(_) | Outcome::Hangs => return (Some(Answer::Pending), None),
            Outcome::Panics | Outcome::PanicsAtOnce => {
                self.fail(ErrorKind::Other);
                return (Some(Answer::Panicked), None);
            }
        }
        (None, fault)
    }

    fn succeed(&mut self) {
        self.generation += 1;
        self.last_error = None;
        self.place = Place::Connected {
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
            Some(delay) => self.place = backoff(attempts + 1, delay, now),
            None => self.give_up(self.last_error.expect("something has failed")),
        }
    }

    fn give_up(&mut self, kind: ErrorKind) {
        let now = self.now;
        let outage = self.outage();
        let inside = Inside::GaveUp {
            attempts: outage.attempts,
            outage: now - outage.since,
        };
        self.place = Place::GaveUp(Failure { kind, inside });
        self.outage = None;
        self.last_error = Some(kind);
    }
}

fn backoff(attempt: u32, delay: Ms, now: Ms) -> Place {
    Place::Backoff {
        attempt,
        delay,
        due: now + delay,
        has_to_yield: delay == 0,
    }
}
