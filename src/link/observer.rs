//! Passes events to the observer and to the log.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tracing::span::{Id, Span};
use tracing::{Level, debug, error, info, warn};

use super::attempt::Caught;
use super::event::Event;

/// The target of every log line.
const TARGET: &str = "reconnecting_stream";

/// What [`Builder::on_event`](crate::Builder::on_event) was given.
pub(crate) type Observer = Box<dyn FnMut(&Event) + Send + Sync>;

/// The observer and the span of one stream.
pub(super) struct Reporter {
    observer: Option<Observer>,
    /// `None` if the span is disabled.
    span: Option<Box<Span>>,
}

impl Reporter {
    pub(super) fn new(observer: Option<Observer>) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let stream = NEXT.fetch_add(1, Ordering::Relaxed);
        // A root span: the stream may outlive the span in which it was made.
        let span = tracing::span!(target: TARGET, parent: None, Level::ERROR, "reconnecting_stream", stream);
        span.follows_from(Span::current());
        Self {
            observer,
            span: (!span.is_disabled()).then(|| Box::new(span)),
        }
    }

    /// Reports one event. Call this when the link is in its new state, because the observer is
    /// foreign code. The panic of an observer is returned.
    pub(super) fn emit(&mut self, event: &Event) -> Caught<()> {
        self.log(event);
        match &mut self.observer {
            Some(observer) => catch_unwind(AssertUnwindSafe(|| observer(event))),
            None => Ok(()),
        }
    }

    pub(super) fn warn_of_long_outage(&self, attempts: u32, downtime: Duration) {
        let span = self.span_id();
        warn!(target: TARGET, parent: span, attempts, ?downtime, "the outage continues");
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

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}
