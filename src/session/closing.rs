//! The limits of what is left to do once a session or its application is gone.

use std::time::{Duration, Instant};

use super::shared::Inner;
use super::timer::RoundTime;

/// How long a connection is kept for what it has still to deliver once its session has ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// When a driver stops to wait for its peer at the end.
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// When the connection of a session that has ended is dropped.
    close_at: Option<Instant>,
    /// When a stream that was dropped after its shutdown, and has delivered everything, stops
    /// waiting for the peer's end.
    linger_until: Option<Instant>,
}

impl Closing {
    /// Begins the limits that apply now. Not only when the driver waits, because a peer may never let
    /// it wait.
    pub(super) fn begin(&mut self, inner: &Inner, now: &RoundTime) {
        if inner.has_ended() {
            self.linger_until = None;
            let close_at = || now.get().checked_add(CLOSE_TIMEOUT);
            self.close_at = self.close_at.or_else(close_at);
        } else if inner.is_orphan() && inner.core().send().is_complete() {
            // Until then the peer may still read what was written, however slowly.
            let linger_until = || now.get().checked_add(inner.core().options().time_to_live);
            self.linger_until = self.linger_until.or_else(linger_until);
        }
    }

    pub(super) fn is_close_late(&self, now: Instant) -> bool {
        self.close_at.is_some_and(|at| at <= now)
    }

    pub(super) fn is_linger_late(&self, now: Instant) -> bool {
        self.linger_until.is_some_and(|at| at <= now)
    }

    /// Returns when the next of the limits is over.
    pub(super) fn timeout(&self) -> Option<Instant> {
        // A session that has ended does not linger.
        self.close_at.or(self.linger_until)
    }
}
