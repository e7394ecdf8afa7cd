//! Every way from one state of a link to the next.
//!
//! | in | input | to |
//! |---|---|---|
//! | Connected | loss | Backoff; `GaveUp` if nothing is left to try or the error is permanent; Closed while shutting down |
//! | Backoff | delay over | Connecting |
//! | Connecting | success | Connected |
//! | Connecting | failure, timeout, panic | Backoff; `GaveUp` if nothing is left to try or the error is permanent |
//! | Connected, `GaveUp` | reconnect | Backoff without a delay |
//! | Backoff | reconnect | Backoff without a delay, for the same attempt |
//! | any | close | Closed |
//!
//! A change sets the new state, which drops the old connection, then publishes the state, wakes
//! the waiting tasks and reports the events. Foreign code (a connector, an observer, the
//! classifier, the iterator of delays, the drop of a connection) may panic before or during that.
//! The panic is kept until the change is complete. Then it continues in the task that polled.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::time::{Duration, Instant};

use super::attempt::{Caught, ConnectAttempt, panicked};
use super::event::Event;
use super::link::{ConnState, Link, Unavailable};
use super::shared::{CHANGED, IDLE, READ_LOSS, Role, WRITE_LOSS};
use crate::connect::Connect;
use crate::policy::{Outage, Verdict};
use crate::timer::{Timer, now};

/// What follows a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterLoss {
    /// Another attempt, if the policy allows one.
    Retry,
    GiveUp,
    /// Nothing: the user has shut the stream down.
    Close,
}

impl<C: Connect> Link<C> {
    /// Changes the state: sets it, publishes it, wakes the tasks of all roles but the one that
    /// polls, and reports the events. The only assignment of a state.
    fn transition(
        mut self: Pin<&mut Self>,
        polling: Option<Role>,
        next: ConnState<C>,
        events: &[Event],
    ) {
        let state = next.state(self.reconnector.generation);
        // Drops what the old state holds. If that panics, the new state is in place all the same.
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            self.as_mut().project().state.set(next);
        }));
        self.shared.publish(state, events);
        self.shared.wake_all_but(polling);
        let reported = self.project().reconnector.reporter.report(events);
        dropped
            .and(reported)
            .unwrap_or_else(|panic| resume_unwind(panic));
    }

    /// Records the loss of the connection. Does nothing if there is none.
    pub(crate) fn lose(
        mut self: Pin<&mut Self>,
        polling: Option<Role>,
        cause: io::Error,
        then: AfterLoss,
    ) {
        let ConnState::Connected { since, .. } = self.state else {
            return;
        };
        let now = now();
        let reconnector = &mut *self.as_mut().project().reconnector;
        let lost = reconnector.lost(cause, since, now);
        let mut panic = None;
        let (next, event) = match then {
            AfterLoss::Close => (ConnState::Closed(self.last_loss()), Event::Closed {}),
            AfterLoss::Retry => {
                reconnector.begin_outage(since, now);
                let delay = reconnector.next_delay(now, Duration::ZERO, &mut panic);
                self.as_mut().next_state(delay, now)
            }
            AfterLoss::GiveUp => {
                reconnector.begin_outage(since, now);
                self.as_mut().next_state(None, now)
            }
        };
        self.shared.flags.clear(IDLE);
        self.shared.flags.set(UNREPORTED_LOSS);
        self.transition(polling, next, &[lost, event]);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Drops the connection now and dials again without a delay. A backoff ends now; an attempt
    /// that is due or running is not put off.
    pub(crate) fn reconnect(mut self: Pin<&mut Self>, polling: Option<Role>) {
        let now = now();
        let lost_since = match self.state {
            ConnState::Connected { since, .. } => Some(since),
            ConnState::GaveUp(_) => None,
            ConnState::Backoff { attempt, delay, .. } if !delay.is_zero() => {
                let next = ConnState::Backoff {
                    timer: Timer::new(Duration::ZERO),
                    attempt,
                    delay: Duration::ZERO,
                };
                return self.transition(polling, next, &[]);
            }
            ConnState::Backoff { .. } | ConnState::Connecting { .. } | ConnState::Closed(_) => {
                return;
            }
        };
        let reconnector = &mut *self.as_mut().project().reconnector;
        reconnector.outage = Some(Outage::begin(now));
        let lost = lost_since.map(|since| reconnector.lost(reconnect_requested(), since, now));
        let (next, retrying) = self.as_mut().next_state(Some(Duration::ZERO), now);
        if lost.is_some() {
            self.shared.flags.clear(IDLE);
            self.shared.flags.set(UNREPORTED_LOSS);
        }
        let events: Vec<_> = lost.into_iter().chain([retrying]).collect();
        self.transition(polling, next, &events);
    }

    /// Ends the link: no connection will follow.
    pub(crate) fn close(self: Pin<&mut Self>, polling: Option<Role>) {
        if !self.is_closed() {
            self.shared.flags.set(CHANGED);
            self.transition(polling, ConnState::Closed(None), &[Event::Closed {}]);
        }
    }

    /// The backoff is over.
    pub(super) fn start_attempt(
        mut self: Pin<&mut Self>,
        polling: Role,
    ) -> Result<(), Unavailable> {
        let now = now();
        let reconnector = &mut *self.as_mut().project().reconnector;
        let (attempt, limit) = reconnector.start_attempt(now);
        let started = catch_unwind(AssertUnwindSafe(|| reconnector.connector.connect(&attempt)));
        match started {
            Ok(future) => {
                let next = ConnState::Connecting {
                    attempt: ConnectAttempt::new(future, limit),
                    number: attempt.number,
                };
                self.transition(Some(polling), next, &[]);
                Ok(())
            }
            Err(panic) => self.end_attempt(polling, attempt.number, Err(panic)),
        }
    }

    /// The attempt is over.
    pub(super) fn end_attempt(
        mut self: Pin<&mut Self>,
        polling: Role,
        number: u32,
        outcome: Caught<io::Result<C::Io>>,
    ) -> Result<(), Unavailable> {
        let since = now();
        match outcome {
            Ok(Ok(io)) => {
                let connected = self.as_mut().project().reconnector.connected(since);
                self.shared.flags.set(CHANGED);
                let next = ConnState::Connected { io, since };
                self.transition(Some(polling), next, &[connected]);
                Ok(())
            }
            Ok(Err(error)) => self.attempt_failed(polling, number, error),
            Err(panic) => {
                // An error that the policy surfaces has no caller here: the panic goes first.
                let _ = self.attempt_failed(polling, number, panicked());
                resume_unwind(panic)
            }
        }
    }

    fn attempt_failed(
        mut self: Pin<&mut Self>,
        polling: Role,
        number: u32,
        error: io::Error,
    ) -> Result<(), Unavailable> {
        let now = now();
        let reconnector = &mut *self.as_mut().project().reconnector;
        let mut panic = None;
        let is_initial = reconnector.generation == 0;
        let policy = &reconnector.policy;
        let verdict = AssertUnwindSafe(|| policy.verdict_of_attempt(&error, is_initial));
        let verdict = catch_unwind(verdict).unwrap_or_else(|payload| {
            panic = Some(payload);
            Verdict::Lost
        });
        let asked = asked_delay(&error);
        let (known, surfaced) = match verdict {
            Verdict::Surface => (clone_error(&error), Some(error)),
            Verdict::Lost | Verdict::Permanent => (error, None),
        };
        let failed = reconnector.attempt_failed(number, known, now);
        let delay = match verdict {
            Verdict::Permanent => None,
            Verdict::Lost | Verdict::Surface => reconnector.next_delay(now, asked, &mut panic),
        };
        let (next, event) = self.as_mut().next_state(delay, now);
        self.transition(Some(polling), next, &[failed, event]);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
        surfaced.map_or(Ok(()), |error| Err(Unavailable::Surfaced(error)))
    }

    /// Returns the state, and its event, of a link without a connection: another attempt after this
    /// delay, or none.
    fn next_state(
        self: Pin<&mut Self>,
        delay: Option<Duration>,
        now: Instant,
    ) -> (ConnState<C>, Event) {
        let reconnector = &mut *self.project().reconnector;
        let Some(delay) = delay else {
            let (gave_up, event) = reconnector.give_up(now);
            return (ConnState::GaveUp(gave_up), event);
        };
        let outage = reconnector.outage.get_or_insert_with(|| Outage::begin(now));
        let attempt = outage.attempts.saturating_add(1);
        let event = Event::Retrying {
            attempt,
            delay,
            downtime: outage.downtime(now),
        };
        let next = ConnState::Backoff {
            timer: Timer::new(delay),
            attempt,
            delay,
        };
        (next, event)
    }
}

/// The flags of a loss that has not been processed.
const UNREPORTED_LOSS: u32 = READ_LOSS | WRITE_LOSS | CHANGED;

/// The cause of a loss that the user asked for.
pub(crate) fn reconnect_requested() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "a reconnect was requested",
    )
}

/// Returns how long the server asks to wait. Only that of a session asks.
#[cfg(feature = "session")]
fn asked_delay(error: &io::Error) -> Duration {
    crate::error::RetryAfter::of(error)
}

#[cfg(not(feature = "session"))]
const fn asked_delay(_: &io::Error) -> Duration {
    Duration::ZERO
}

/// Returns a copy of an error that is returned to a caller, for the log and the observer.
fn clone_error(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(
        || io::Error::new(error.kind(), error.to_string()),
        io::Error::from_raw_os_error,
    )
}
