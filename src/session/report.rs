//! What a session logs.
//!
//! A subscriber is foreign code. If it panics, that takes nothing from the session.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tracing::span::{Entered, Span};
use tracing::{Level, debug, error, info, warn};

use super::protocol::Outcome;
use super::shared::Session;

/// The target of every log line.
pub(super) const TARGET: &str = "reconnecting_stream";

/// Calls a subscriber or a recorder. `None`: it has panicked, which the panic hook has reported.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

/// The span of a session, behind a pointer: while spans are disabled, a session keeps none.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionSpan(Option<Arc<Span>>);

impl SessionSpan {
    /// Returns the span of a session. Its id is recorded once it is known.
    pub(super) fn new(session: &Session) -> Self {
        let id = session.lock().id();
        let span = guarded(|| {
            // A root span: the session may outlive the span in which it was made.
            let span = tracing::span!(target: TARGET, parent: None, Level::ERROR, "session", %id);
            span.follows_from(Span::current());
            span
        });
        let span = span.filter(|span| !span.is_disabled());
        Self(span.map(Arc::new))
    }

    pub(super) fn enter(&self) -> Option<Entered<'_>> {
        self.0.as_ref().map(|span| span.enter())
    }
}

/// A connection is attached. Returns how many bytes are sent again.
pub(super) fn attached(span: &SessionSpan, session: &Session) -> u64 {
    let (id, epoch, replayed) = {
        let inner = session.lock();
        let core = inner.core();
        (inner.id(), core.epoch(), core.send().to_replay())
    };
    guarded(|| {
        if let Some(span) = &span.0 {
            span.record("id", tracing::field::display(id));
        }
        info!(target: TARGET, epoch, replayed, "attached");
    });
    replayed
}

pub(super) fn lost(cause: &io::Error) {
    guarded(|| info!(target: TARGET, %cause, "detached"));
}

pub(super) fn panicked() {
    guarded(|| error!(target: TARGET, "a connection, a connector or an observer panicked"));
}

/// The session has ended. Returns how.
pub(super) fn ended(span: &SessionSpan, session: &Session) -> Option<Outcome> {
    let (outcome, unacknowledged) = {
        let inner = session.lock();
        (inner.core().outcome(), inner.core().unacknowledged())
    };
    let span = span.0.as_ref().and_then(|span| span.id());
    guarded(|| match outcome {
        Some(Outcome::Lost(reason)) => {
            warn!(target: TARGET, parent: span.clone(), %reason, unacknowledged, "session lost");
        }
        Some(Outcome::Complete) | None => {
            debug!(target: TARGET, parent: span.clone(), "session complete");
        }
    });
    outcome
}

#[cfg(feature = "net")]
pub(super) fn handshake_failed(error: &io::Error) {
    guarded(|| debug!(target: TARGET, %error, "a handshake failed"));
}

#[cfg(feature = "net")]
pub(super) fn accept_failed(error: &io::Error) {
    guarded(|| warn!(target: TARGET, %error, "accepting connections failed"));
}
