//! Tells the observer and the log what happens.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::span::{Id, Span};
use tracing::{Level, debug, error, info, warn};

use super::Event;

/// The target of every log line.
const TARGET: &str = "reconnecting_stream";

/// What [`Builder::on_event`](crate::Builder::on_event) was given.
pub(crate) type Observer = Box<dyn FnMut(&Event) + Send + Sync>;

/// Small while nobody listens.
pub(super) struct Report {
    observer: Option<Box<Observer>>,
    /// Of the stream; none if it would be disabled.
    span: Option<Box<Span>>,
}

impl Report {
    pub(super) fn new(observer: Option<Observer>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let stream = NEXT.fetch_add(1, Ordering::Relaxed);
        // It outlives the span that it was made in: that one should be able to end.
        let span = tracing::span!(target: TARGET, parent: None, Level::ERROR, "reconnecting_stream", stream);
        span.follows_from(Span::current());
        Self {
            observer: observer.map(Box::new),
            span: (!span.is_disabled()).then(|| Box::new(span)),
        }
    }

    /// To be called when the link is in order: the observer is someone else's code.
    pub(super) fn emit(&mut self, event: &Event) {
        self.log(event);
        if let Some(observer) = &mut self.observer {
            observer(event);
        }
    }

    pub(super) fn warn_of_long_outage(&self, attempts: u32, downtime: Duration) {
        let span = self.span_id();
        warn!(target: TARGET, parent: span, attempts, ?downtime, "an outage goes on");
    }

    fn span_id(&self) -> Option<Id> {
        self.span.as_ref()?.id()
    }

    fn log(&self, event: &Event) {
        let span = self.span_id();
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
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").finish_non_exhaustive()
    }
}
