//! Confirmations from elsewhere.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

/// Confirms messages of a [`ReconnectingFramed`](crate::ReconnectingFramed) from elsewhere, as
/// the half that reads the peer's answers has to.
#[derive(Clone)]
pub struct Confirmations {
    confirmed: Arc<AtomicUsize>,
    waker: Waker,
}

impl Confirmations {
    pub(super) fn new(confirmed: Arc<AtomicUsize>, waker: Waker) -> Self {
        Self { confirmed, waker }
    }

    /// The peer has the `n` oldest messages that were handed over. More than there are count as
    /// all of them. Wakes a sink that was full.
    pub fn confirm(&self, n: usize) {
        let add = |confirmed: usize| Some(confirmed.saturating_add(n));
        // The closure always answers `Some`.
        let _ = self
            .confirmed
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
        self.waker.wake_by_ref();
    }
}

impl fmt::Debug for Confirmations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmations").finish_non_exhaustive()
    }
}
