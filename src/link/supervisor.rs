//! What a link keeps from one connection to the next.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempt::Caught;
use super::event::Event;
use super::observer::{Observer, Reporter};
use super::shared::Registrations;
use super::timers::IdleTimer;
use crate::connect::Attempt;
use crate::error::{ConnectionLost, GaveUp};
use crate::policy::{Outage, Phase, Policy};
use crate::seam::Seam;

/// The settings of a link, as a [`Builder`](crate::Builder) collects them.
pub(crate) struct Settings {
    pub(crate) policy: Policy,
    pub(crate) seam: Seam,
    pub(crate) observer: Option<Observer>,
    pub(crate) retry_initial_connect: bool,
}

/// State that outlives the connection. Boxed, because the fast path does not touch it.
#[derive(Debug)]
pub(crate) struct Supervisor<C> {
    pub(super) connector: C,
    pub(super) policy: Policy,
    pub(super) seam: Seam,
    reporter: Reporter,
    /// The number of the latest connection; 0 before the first.
    pub(super) generation: u64,
    /// The outage that has begun and whose end has not been proven by a stable connection.
    pub(super) outage: Option<Outage>,
    /// The error of the last attempt, or the cause of the loss.
    last_error: Option<Arc<io::Error>>,
    /// Kept until the next connection, or until both halves have returned it.
    last_loss: Option<(u64, Arc<io::Error>)>,
    /// Made when a read first waits under an idle timeout.
    pub(super) idle: Option<IdleTimer>,
    pub(super) registrations: Registrations,
    /// The attempts and the downtime of an outage that has just become a long one.
    long_outage: Option<Box<(u32, Duration)>>,
}

impl<C> Supervisor<C> {
    pub(super) fn new(connector: C, settings: Settings) -> Self {
        Self {
            connector,
            policy: settings.policy,
            seam: settings.seam,
            reporter: Reporter::new(settings.observer),
            generation: 0,
            outage: None,
            last_error: None,
            last_loss: None,
            idle: None,
            registrations: Registrations::default(),
            long_outage: None,
        }
    }

    /// Returns the current outage, and begins one if there is none.
    fn outage(&mut self, now: Instant) -> &mut Outage {
        self.outage.get_or_insert_with(|| Outage::begin(now))
    }

    /// Counts an attempt, and returns what its connector may know.
    pub(super) fn start_attempt(&mut self, now: Instant) -> (Attempt, Duration) {
        let generation = self.next_generation();
        let last_error = self.last_error.clone();
        let outage = self.outage(now);
        let attempt = Attempt {
            number: outage.start_attempt(),
            generation,
            last_error,
            downtime: outage.downtime(now),
        };
        let policy = &self.policy;
        let limit = self.outage.as_ref().map_or_else(
            || policy.attempt_limit(),
            |outage| outage.attempt_limit(policy, now),
        );
        (attempt, limit)
    }

    /// Returns how long to wait before the next attempt; `None` to give up.
    pub(super) fn next_delay(&mut self, now: Instant) -> Option<Duration> {
        let random = fastrand::f64();
        let outage = self.outage.get_or_insert_with(|| Outage::begin(now));
        outage.next_delay(&self.policy, now, random)
    }

    /// Returns the event of the attempt that comes next.
    pub(super) fn retrying(&mut self, delay: Duration, now: Instant) -> (u32, Event) {
        let outage = self.outage(now);
        let (attempt, downtime) = (outage.next_number(), outage.downtime(now));
        let event = Event::Retrying {
            attempt,
            delay,
            downtime,
        };
        (attempt, event)
    }

    /// Ends the outage without a connection.
    pub(super) fn give_up(&mut self, now: Instant) -> (GaveUp, Event) {
        let outage = self.outage.take();
        let last_error = self.last_error.clone();
        let gave_up = GaveUp {
            attempts: outage.as_ref().map_or(0, Outage::attempts),
            outage: outage.map_or_else(Default::default, |outage| outage.downtime(now)),
            last_error: last_error.unwrap_or_else(|| Arc::new(io::ErrorKind::NotConnected.into())),
        };
        let event = Event::GaveUp {
            attempts: gave_up.attempts,
            outage: gave_up.outage,
            last_error: Arc::clone(&gave_up.last_error),
        };
        (gave_up, event)
    }

    fn next_generation(&self) -> u64 {
        self.generation.saturating_add(1)
    }

    /// Returns where the error of an attempt is met.
    pub(super) fn connect_phase(&self) -> Phase {
        Phase::Connect {
            initial: self.generation == 0,
        }
    }

    /// Counts a connection.
    pub(super) fn connected(&mut self, now: Instant) -> Event {
        self.generation = self.next_generation();
        self.last_error = None;
        if self.seam == Seam::Hidden {
            self.last_loss = None;
        }
        self.note_long_outage(now);
        let outage = self.outage.as_ref();
        Event::Connected {
            generation: self.generation,
            attempts: outage.map_or(0, Outage::attempts),
            downtime: outage.map_or_else(Default::default, |outage| outage.downtime(now)),
        }
    }

    /// Records the loss of the current connection, which began at `since`.
    pub(super) fn lost(&mut self, cause: io::Error, since: Instant, now: Instant) -> Event {
        let cause = Arc::new(cause);
        self.last_error = Some(Arc::clone(&cause));
        self.last_loss = Some((self.generation, Arc::clone(&cause)));
        Event::Lost {
            generation: self.generation,
            cause,
            uptime: now.saturating_duration_since(since),
        }
    }

    /// Returns the last loss.
    pub(super) fn last_loss(&self) -> Option<ConnectionLost> {
        let (generation, cause) = self.last_loss.clone()?;
        Some(ConnectionLost {
            generation,
            cause,
            dropped_bytes: 0,
        })
    }

    /// Begins the outage of a connection that began at `since`, or continues the one before it.
    pub(super) fn begin_outage(&mut self, since: Instant, now: Instant) {
        let before = self.outage.take();
        self.outage = Some(Outage::after_loss(before, since, &self.policy, now));
        self.note_long_outage(now);
    }

    /// Records the failure of an attempt.
    pub(super) fn attempt_failed(&mut self, attempt: u32, error: io::Error, now: Instant) -> Event {
        let error = Arc::new(error);
        self.last_error = Some(Arc::clone(&error));
        let downtime = self.outage(now).downtime(now);
        self.note_long_outage(now);
        Event::AttemptFailed {
            attempt,
            error,
            downtime,
        }
    }

    /// Reports the events of one change, all of them also if the observer panics. The first panic
    /// is returned.
    pub(super) fn report(&mut self, events: &[Event]) -> Caught<()> {
        if let Some(outage) = self.long_outage.take() {
            let (attempts, downtime) = *outage;
            self.reporter.warn_of_long_outage(attempts, downtime);
        }
        let mut outcome = Ok(());
        for event in events {
            outcome = outcome.and(self.reporter.emit(event));
        }
        outcome
    }

    /// Notes, once in an outage, that it has become a long one. It is logged with the next event;
    /// no timer runs for it.
    fn note_long_outage(&mut self, now: Instant) {
        if let Some(outage) = &mut self.outage {
            if outage.is_warning_due(now) {
                self.long_outage = Some(Box::new((outage.attempts(), outage.downtime(now))));
            }
        }
    }
}
