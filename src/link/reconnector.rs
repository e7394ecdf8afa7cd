//! What a link keeps from one connection to the next: the connector, the outage, and the reporter of
//! events.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tracing::span::{Id, Span};
use tracing::{Level, debug, error, info, warn};

use super::attempt::{Caught, Panic};
use super::event::Event;
use super::idle::IdleTimer;
use super::shared::Registrations;
use crate::connect::Attempt;
use crate::error::GaveUp;
use crate::policy::{Outage, Policy};
use crate::seam::Seam;

/// The settings of a link, as a [`Builder`](crate::Builder) collects them.
pub(crate) struct Settings {
    pub(crate) policy: Policy,
    pub(crate) seam: Seam,
    pub(crate) observer: Option<Observer>,
    pub(crate) retry_initial_connect: bool,
}

/// What makes and counts the connections, and outlives each of them.
///
/// Boxed, because an operation that makes progress does not touch it.
#[derive(Debug)]
pub(crate) struct Reconnector<C> {
    pub(super) connector: C,
    pub(super) policy: Policy,
    pub(super) seam: Seam,
    pub(super) reporter: Reporter,
    /// The number of the latest connection; 0 before the first.
    pub(super) generation: u64,
    /// The outage that has begun and whose end has not been proven by a stable connection.
    pub(super) outage: Option<Outage>,
    /// The error of the last attempt, or the cause of the loss.
    last_error: Option<Arc<io::Error>>,
    /// The last loss. A connection that follows removes it if the seam is hidden.
    pub(super) last_loss: Option<(u64, Arc<io::Error>)>,
    /// Made when a read first waits under an idle timeout.
    pub(super) idle: Option<Box<IdleTimer>>,
    pub(super) registrations: Registrations,
}

/// The delay in place of one whose iterator panicked.
const UNKNOWN_DELAY: Duration = Duration::from_secs(1);

impl<C> Reconnector<C> {
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
        }
    }

    /// Counts an attempt. Returns what its connector may know, and its timeout.
    pub(super) fn start_attempt(&mut self, now: Instant) -> (Attempt, Duration) {
        let generation = self.next_generation();
        // A stream that begins without a connection begins with an outage.
        let outage = self.outage.get_or_insert_with(|| Outage::begin(now));
        let attempt = Attempt {
            number: outage.start_attempt(),
            generation,
            last_error: self.last_error.clone(),
            downtime: outage.downtime(now),
        };
        (attempt, outage.attempt_limit(&self.policy, now))
    }

    /// Returns how long to wait before the next attempt, at least `least`; `None` to give up. Keeps
    /// the panic of an iterator of delays, unless there is an earlier panic.
    pub(super) fn next_delay(
        &mut self,
        now: Instant,
        least: Duration,
        panic: &mut Option<Panic>,
    ) -> Option<Duration> {
        let random = fastrand::f64();
        let outage = self.outage.get_or_insert_with(|| Outage::begin(now));
        let next_delay = AssertUnwindSafe(|| outage.next_delay(&self.policy, now, random, least));
        catch_unwind(next_delay).unwrap_or_else(|payload| {
            panic.get_or_insert(payload);
            Some(UNKNOWN_DELAY.max(least))
        })
    }

    /// Ends the outage without a connection.
    pub(super) fn give_up(&mut self, now: Instant) -> (GaveUp, Event) {
        let outage = self.outage.take();
        let last_error = self.last_error.clone();
        let gave_up = GaveUp {
            attempts: outage.as_ref().map_or(0, |outage| outage.attempts),
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

    /// Counts a connection.
    pub(super) fn connected(&mut self, now: Instant) -> Event {
        self.generation = self.next_generation();
        self.last_error = None;
        if self.seam == Seam::Hidden {
            self.last_loss = None;
        }
        if let Some(outage) = &mut self.outage {
            self.reporter.long_outage = outage.take_warning(now);
        }
        let outage = self.outage.as_ref();
        Event::Connected {
            generation: self.generation,
            attempts: outage.map_or(0, |outage| outage.attempts),
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

    /// Begins the outage of a connection that began at `since`, or continues the one before it.
    pub(super) fn begin_outage(&mut self, since: Instant, now: Instant) {
        let before = self.outage.take();
        let mut outage = Outage::after_loss(before, since, &self.policy, now);
        self.reporter.long_outage = outage.take_warning(now);
        self.outage = Some(outage);
    }

    /// Records the failure of an attempt.
    pub(super) fn attempt_failed(&mut self, attempt: u32, error: io::Error, now: Instant) -> Event {
        let error = Arc::new(error);
        self.last_error = Some(Arc::clone(&error));
        let outage = self.outage.get_or_insert_with(|| Outage::begin(now));
        let downtime = outage.downtime(now);
        self.reporter.long_outage = outage.take_warning(now);
        Event::AttemptFailed {
            attempt,
            error,
            downtime,
        }
    }
}

/// The target of every log line.
const TARGET: &str = "reconnecting_stream";

/// What [`Builder::on_event`](crate::Builder::on_event) was given.
pub(crate) type Observer = Box<dyn FnMut(&Event) + Send + Sync>;

/// Passes the events of one stream to its observer and to the log.
pub(super) struct Reporter {
    observer: Option<Observer>,
    /// `None` if the span is disabled.
    span: Option<Box<Span>>,
    /// The attempts and the downtime of an outage that has just become a long one. They are logged
    /// with the next event; no timer runs for them.
    long_outage: Option<Box<(u32, Duration)>>,
}

impl Reporter {
    fn new(observer: Option<Observer>) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let stream = NEXT.fetch_add(1, Ordering::Relaxed);
        // A root span: the stream may outlive the span in which it was made.
        let span = tracing::span!(target: TARGET, parent: None, Level::ERROR, "reconnecting_stream", stream);
        span.follows_from(Span::current());
        Self {
            observer,
            span: (!span.is_disabled()).then(|| Box::new(span)),
            long_outage: None,
        }
    }

    /// Reports the events of one change, all of them also if the observer panics. Returns the first
    /// panic. Call this when the link is in its new state, because the observer is foreign code.
    pub(super) fn report(&mut self, events: &[Event]) -> Caught<()> {
        let span = self.span.as_ref().and_then(|span| span.id());
        if let Some(outage) = self.long_outage.take() {
            let (attempts, downtime) = *outage;
            let span = span.clone();
            warn!(target: TARGET, parent: span, attempts, ?downtime, "the outage continues");
        }
        let mut outcome = Ok(());
        for event in events {
            log(span.clone(), event);
            if let Some(observer) = &mut self.observer {
                outcome = outcome.and(catch_unwind(AssertUnwindSafe(|| observer(event))));
            }
        }
        outcome
    }
}

fn log(span: Option<Id>, event: &Event) {
    match event {
        Event::Lost {
            generation,
            cause,
            uptime,
        } => {
            info!(target: TARGET, parent: span, generation, %cause, ?uptime, "connection lost");
        }
        Event::Retrying {
            attempt,
            delay,
            downtime,
        } => debug!(target: TARGET, parent: span, attempt, ?delay, ?downtime, "will retry"),
        Event::AttemptFailed {
            attempt,
            error,
            downtime,
        } => debug!(target: TARGET, parent: span, attempt, %error, ?downtime, "attempt failed"),
        Event::Connected {
            generation,
            attempts,
            downtime,
        } => info!(target: TARGET, parent: span, generation, attempts, ?downtime, "connected"),
        Event::GaveUp {
            attempts,
            outage,
            last_error,
        } => error!(target: TARGET, parent: span, attempts, ?outage, %last_error, "gave up"),
        Event::Closed {} => debug!(target: TARGET, parent: span, "closed"),
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}
