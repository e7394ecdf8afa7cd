//! When a session that is idle gives its memory back.

use std::time::{Duration, Instant};

use super::shared::Inner;
use super::timer::RoundTime;

/// Memory of buffers that are empty is released after no byte has moved for so long, or for up to
/// twice as long.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// Whether bytes have moved since it was looked the last time.
#[derive(Debug, Default)]
pub(super) struct Idle {
    /// When the memory of empty buffers is released, unless bytes have moved by then.
    at: Option<Instant>,
    has_moved: bool,
}

impl Idle {
    /// Records that bytes have moved. It reads the clock only for the first ones.
    pub(super) fn note_activity(&mut self, now: &RoundTime) {
        self.has_moved = true;
        let at = || now.get().checked_add(IDLE_AFTER);
        self.at = self.at.or_else(at);
    }

    pub(super) fn handle_timeout(&mut self, inner: &mut Inner, now: Instant) {
        if self.at.is_none_or(|at| now < at) {
            return;
        }
        self.at = None;
        if std::mem::take(&mut self.has_moved) {
            self.at = now.checked_add(IDLE_AFTER);
        } else {
            inner.core_mut().release_memory();
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.at
    }
}
