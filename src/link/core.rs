//! What a link keeps whatever its phase: boxed, since it is not looked at while all is well.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Event;
use super::idle::Idle;
use super::report::{Observer, Report};
use crate::connect::Attempt;
use crate::error::{ConnectionLost, GaveUp};
use crate::policy::{Outage, Phase, Policy};
use crate::seam::Seam;

/// The connector, the policy, and the memory of a link.
#[derive(Debug)]
pub(crate) struct Core<C> {
    pub(super) connector: C,
    pub(super) policy: Policy,
    pub(super) seam: Seam,
    pub(super) report: Report,
    /// Of the latest connection; 0 before the first.
    pub(super) generation: u64,
    /// The outage that is going on, or whose end has not been proven yet.
    pub(super) outage: Option<Outage>,
    /// Of the last attempt, or of the loss.
    pub(super) last_error: Option<Arc<io::Error>>,
    /// Why the connection before this one was lost, or this one if there is none now. Not kept
    /// if nobody will be told.
    pub(super) last_loss: Option<Arc<io::Error>>,
    /// Made when a read first waits under an idle timeout.
    pub(super) idle: Option<Idle>,
}

impl<C> Core<C> {
    pub(crate) fn new(
        connector: C,
        policy: Policy,
        seam: Seam,
        observer: Option<Observer>,
    ) -> Self {
        Self {
            connector,
            policy,
            seam,
            report: Report::new(observer),
            generation: 0,
            outage: None,
            last_error: None,
            last_loss: None,
            idle: None,
        }
    }

    /// The outage that is going on.
    pub(super) fn outage(&mut self, now: Instant) -> &mut Outage {
        self.outage
            .get_or_insert_with(|| Outage::begin(&self.policy, now))
    }

    /// Counts an attempt, and says what its connector may know.
    pub(super) fn start_attempt(&mut self, now: Instant) -> Attempt {
        let generation = self.next_generation();
        let last_error = self.last_error.clone();
        let outage = self.outage(now);
        Attempt {
            number: outage.start_attempt(),
            generation,
            last_error,
            downtime: outage.downtime(now),
        }
    }

    /// How long to wait before the next attempt; `None` to give up.
    pub(super) fn next_delay(&mut self, now: Instant) -> Option<Duration> {
        let random = fastrand::f64();
        self.outage
            .get_or_insert_with(|| Outage::begin(&self.policy, now))
            .next_delay(&self.policy, now, random)
    }

    /// Ends the outage, without a connection.
    pub(super) fn give_up(&mut self, now: Instant) -> GaveUp {
        let outage = self.outage.take();
        GaveUp {
            attempts: outage.as_ref().map_or(0, Outage::attempts),
            outage: outage.map_or_else(Default::default, |outage| outage.downtime(now)),
            last_error: self
                .last_error
                .clone()
                .unwrap_or_else(|| Arc::new(io::ErrorKind::NotConnected.into())),
        }
    }

    pub(super) fn next_generation(&self) -> u64 {
        self.generation.saturating_add(1)
    }

    /// Where an attempt's error is met.
    pub(super) fn connect_phase(&self) -> Phase {
        Phase::Connect {
            initial: self.generation == 0,
        }
    }

    /// There is a connection.
    pub(super) fn count_connection(&mut self) {
        self.generation = self.next_generation();
        self.last_error = None;
    }

    pub(super) fn report_connection(&mut self, now: Instant) {
        self.warn_of_long_outage(now);
        let outage = self.outage.as_ref();
        self.report.emit(&Event::Connected {
            generation: self.generation,
            attempts: outage.map_or(0, Outage::attempts),
            downtime: outage.map_or_else(Default::default, |outage| outage.downtime(now)),
        });
    }

    pub(super) fn lost(&mut self, lost: &ConnectionLost, since: Instant, now: Instant) {
        self.last_error = Some(Arc::clone(&lost.cause));
        self.last_loss = (self.seam != Seam::Hidden).then(|| Arc::clone(&lost.cause));
        let before = self.outage.take();
        self.outage = Some(Outage::after_loss(before, since, &self.policy, now));
        self.warn_of_long_outage(now);
        self.report.emit(&Event::Lost {
            generation: lost.generation,
            cause: Arc::clone(&lost.cause),
            uptime: now.saturating_duration_since(since),
        });
    }

    pub(super) fn attempt_failed(&mut self, attempt: u32, error: io::Error, now: Instant) {
        let error = Arc::new(error);
        self.last_error = Some(Arc::clone(&error));
        let downtime = self.outage(now).downtime(now);
        self.warn_of_long_outage(now);
        self.report.emit(&Event::AttemptFailed {
            attempt,
            error,
            downtime,
        });
    }

    /// Once an outage, whatever happens next in it: nothing does by itself.
    fn warn_of_long_outage(&mut self, now: Instant) {
        if let Some(outage) = &mut self.outage {
            if outage.is_warning_due(now) {
                let (attempts, downtime) = (outage.attempts(), outage.downtime(now));
                self.report.warn_of_long_outage(attempts, downtime);
            }
        }
    }

    pub(super) fn attempt_limit(&mut self, now: Instant) -> Duration {
        self.outage
            .get_or_insert_with(|| Outage::begin(&self.policy, now))
            .attempt_limit(&self.policy, now)
    }
}
