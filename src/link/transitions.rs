//! Every way from one state of a link to the next.
//!
//! | in | input | to |
//! |---|---|---|
//! | Connected | loss | Backoff; `GaveUp` if nothing is left to try; Closed while shutting down |
//! | Backoff | delay over | Connecting |
//! | Connecting | success | Connected |
//! | Connecting | failure, timeout, panic | Backoff, `GaveUp` |
//! | Connected | reconnect | Backoff without a delay |
//! | Backoff | reconnect | Backoff without a delay |
//! | `GaveUp` | reconnect | Backoff without a delay |
//! | any | close | Closed |
//! | Backoff, Connecting | shutdown | Closed |
//!
//! Someone else's code (the connector, the observer, the judge of errors, the iterator of delays,
//! the drop of a connection) runs only while the link is in a state it can go on from, and after
//! every role was woken: if that code panics, the panic is the caller's and the link is not
//! broken.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use super::control::Command;
use super::dial::{self, Dial, Outcome};
use super::machine::{Halt, Link, Phase, PhaseProj};
use super::{Event, Role, clock};
use crate::connect::Connect;
use crate::error::ConnectionLost;
use crate::policy::Verdict;

impl<C: Connect> Link<C> {
    fn enter(mut self: Pin<&mut Self>, next: Phase<C>) {
        let state = next.state(self.generation());
        self.as_mut().replace(next);
        self.shared.publish(state);
    }

    /// Lets go of what the phase holds, until it is known what comes next: a dead connection is
    /// closed before anything else happens.
    fn let_go(self: Pin<&mut Self>) {
        self.replace(Phase::due(1));
    }

    /// The only assignment of a phase.
    fn replace(mut self: Pin<&mut Self>, next: Phase<C>) {
        self.as_mut().project().phase.set(next);
        // Every role was waiting for what is gone now.
        self.shared.wakers.wake_all();
    }

    fn emit(self: Pin<&mut Self>, event: &Event) {
        self.project().core.report.emit(event);
    }

    /// Takes the command of a handle, if there is one.
    pub(crate) fn obey(self: Pin<&mut Self>) {
        match self.shared.signals.take_command() {
            None => {}
            Some(Command::Close) => self.close_on_command(),
            Some(Command::Reconnect) => self.redial(),
        }
    }

    /// Whoever asked for it knows: no half is told of a loss any more.
    fn close_on_command(self: Pin<&mut Self>) {
        if !self.is_closed() {
            self.shared.signals.take_news(Role::Read);
            self.shared.signals.take_news(Role::Write);
        }
        self.close();
    }

    /// The connection has met an error. `Ok` if the caller shall poll on; otherwise the error is
    /// the caller's.
    pub(crate) fn end(
        mut self: Pin<&mut Self>,
        verdict: Verdict,
        role: Role,
        error: io::Error,
    ) -> io::Result<()> {
        self.shared.wakers.forget(role);
        match verdict {
            Verdict::Surface => Err(error),
            Verdict::Lost => self.lose(role, error),
            Verdict::Permanent => {
                let now = clock::now();
                self.as_mut().drop_connection(error, now);
                self.give_up(now);
                Ok(())
            }
        }
    }

    /// The connection is dead. `Ok` if the caller shall poll on; while shutting down nothing
    /// will replace the connection, and the loss is the caller's to know.
    pub(crate) fn lose(mut self: Pin<&mut Self>, role: Role, cause: io::Error) -> io::Result<()> {
        let now = clock::now();
        let lost = self.as_mut().drop_connection(cause, now);
        if self.is_finishing() {
            self.shared.signals.take_news(role);
            self.close();
            return lost.map_or(Ok(()), |lost| Err(io::Error::new(lost.cause.kind(), lost)));
        }
        self.retry(now);
        Ok(())
    }

    /// Drops the connection now, and dials again without a delay.
    pub(crate) fn redial(mut self: Pin<&mut Self>) {
        if self.is_finishing() {
            return;
        }
        let now = clock::now();
        match self.as_mut().project().phase.project() {
            PhaseProj::Connected { .. } => {
                self.as_mut().drop_connection(asked_for(), now);
                self.as_mut().project().core.outage = None;
                self.retry_at_once(now);
            }
            PhaseProj::Backoff { .. } | PhaseProj::GaveUp(_) => self.retry_at_once(now),
            PhaseProj::Connecting { .. } | PhaseProj::Closed => {}
        }
    }

    /// The user shuts down: from here on no connection is replaced.
    pub(crate) fn finish(self: Pin<&mut Self>) {
        self.shared.signals.start_finishing();
        match self.phase {
            Phase::Backoff { .. } | Phase::Connecting { .. } => self.close(),
            Phase::Connected { .. } | Phase::GaveUp(_) | Phase::Closed => {}
        }
    }

    /// The connection has been shut down.
    pub(crate) fn finished(&self) {
        self.shared.signals.finish();
    }

    pub(crate) fn close(mut self: Pin<&mut Self>) {
        if !self.is_closed() {
            self.as_mut().enter(Phase::Closed);
            self.emit(&Event::Closed {});
        }
    }

    /// The backoff is over.
    pub(super) fn start_attempt(mut self: Pin<&mut Self>) -> Result<(), Halt> {
        let core = &mut *self.as_mut().project().core;
        let now = clock::now();
        let attempt = core.start_attempt(now);
        let started = catch_unwind(AssertUnwindSafe(|| core.connector.connect(&attempt)));
        match started {
            Ok(future) => {
                let limit = core.attempt_limit(now);
                self.enter(Phase::Connecting {
                    dial: Dial::new(future, limit),
                    attempt: attempt.number,
                });
                Ok(())
            }
            Err(panic) => self.end_attempt(attempt.number, Err(panic)),
        }
    }

    /// The attempt is over.
    pub(super) fn end_attempt(
        mut self: Pin<&mut Self>,
        number: u32,
        outcome: Outcome<C::Io>,
    ) -> Result<(), Halt> {
        match outcome {
            Ok(Ok(io)) => {
                self.succeed(io);
                Ok(())
            }
            Ok(Err(error)) => {
                self.as_mut().let_go();
                self.attempt_failed(number, error)
            }
            Err(panic) => {
                self.as_mut().let_go();
                let _ = self.attempt_failed(number, dial::panicked());
                resume_unwind(panic)
            }
        }
    }

    fn succeed(mut self: Pin<&mut Self>, io: C::Io) {
        let since = clock::now();
        self.as_mut().project().core.count_connection();
        self.as_mut().enter(Phase::Connected { io, since });
        self.project().core.report_connection(since);
    }

    fn attempt_failed(mut self: Pin<&mut Self>, number: u32, error: io::Error) -> Result<(), Halt> {
        let now = clock::now();
        let core = &mut *self.as_mut().project().core;
        let verdict = core.policy.verdict(&error, core.connect_phase());
        let (known, surfaced) = match verdict {
            Verdict::Surface => (same(&error), Some(error)),
            Verdict::Lost | Verdict::Permanent => (error, None),
        };
        core.attempt_failed(number, known, now);
        match verdict {
            Verdict::Permanent => self.give_up(now),
            Verdict::Lost | Verdict::Surface => self.retry(now),
        }
        surfaced.map_or(Ok(()), |error| Err(Halt::Surfaced(error)))
    }

    /// `None` if there was no connection.
    fn drop_connection(
        mut self: Pin<&mut Self>,
        cause: io::Error,
        now: Instant,
    ) -> Option<ConnectionLost> {
        let Phase::Connected { since, .. } = self.phase else {
            return None;
        };
        self.as_mut().let_go();
        self.shared.signals.stop_idling();
        self.shared.signals.raise_news();
        let lost = ConnectionLost {
            generation: self.generation(),
            cause: Arc::new(cause),
        };
        self.project().core.lost(&lost, since, now);
        Some(lost)
    }

    fn retry(mut self: Pin<&mut Self>, now: Instant) {
        match self.as_mut().project().core.next_delay(now) {
            Some(delay) => self.retry_after(delay, now),
            None => self.give_up(now),
        }
    }

    fn retry_at_once(self: Pin<&mut Self>, now: Instant) {
        self.retry_after(std::time::Duration::ZERO, now);
    }

    fn retry_after(mut self: Pin<&mut Self>, delay: std::time::Duration, now: Instant) {
        let outage = self.as_mut().project().core.outage(now);
        let (attempt, downtime) = (outage.next_number(), outage.downtime(now));
        self.as_mut().enter(Phase::backoff(attempt, delay));
        self.emit(&Event::Retrying {
            attempt,
            delay,
            downtime,
        });
    }

    fn give_up(mut self: Pin<&mut Self>, now: Instant) {
        let gave_up = self.as_mut().project().core.give_up(now);
        let event = Event::GaveUp {
            attempts: gave_up.attempts,
            outage: gave_up.outage,
            last_error: Arc::clone(&gave_up.last_error),
        };
        self.as_mut().enter(Phase::GaveUp(gave_up));
        self.emit(&event);
    }
}

/// The cause of a loss that the user wanted.
fn asked_for() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "a reconnect was asked for",
    )
}

/// An error that says the same, for when the original is given away.
fn same(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(
        || io::Error::new(error.kind(), error.to_string()),
        io::Error::from_raw_os_error,
    )
}
