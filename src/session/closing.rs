//! The limits of what is left to do once a session or its application is gone.

use std::time::{Duration, Instant};

use super::shared::Inner;
use super::timer::RoundTime;

/// How long a connection is kept for what it has still to deliver once its session has ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How many times to live a stream that was dropped waits for its peer to acknowledge more. Longer
/// than when everything is delivered, because its bytes are lost then.
const ORPHAN_TIMES: u32 = 10;

/// When a driver stops to wait for its peer at the end.
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// When the connection of a session that has ended is dropped.
    close_at: Option<Instant>,
    /// Boxed, because few sessions have one.
    orphan: Option<Box<Orphan>>,
}

/// A stream that was dropped after its shutdown. It waits for its peer as long as the peer
/// acknowledges more, however slowly: otherwise a peer that does not read keeps it for ever.
#[derive(Debug)]
struct Orphan {
    acknowledged: u64,
    /// How much longer it waits for the next acknowledgment, or for the peer's end, with a
    /// connection.
    left: Duration,
    /// When it stops to wait, while it has a connection.
    until: Option<Instant>,
}

impl Closing {
    /// Updates the limits that apply now. Call it not only when the driver waits, because a peer may
    /// never let it wait.
    ///
    /// The next connection after a loss, which may have to tell the peer, gets its own time. One that
    /// replaces another gets none: otherwise a peer that resumes again and again would keep a session
    /// that has ended.
    pub(super) fn update(&mut self, inner: &Inner, is_attached: bool, now: &RoundTime) {
        if inner.has_ended() {
            self.orphan = None;
            let close_at = || now.get().checked_add(CLOSE_TIMEOUT);
            self.close_at = self.close_at.or_else(close_at).filter(|_| is_attached);
        } else if inner.is_orphan() && (is_attached || self.orphan.is_some()) {
            // A client knows the time to live from its first connection on.
            let (send, options) = (inner.core().send(), inner.core().options());
            let acknowledged = send.acknowledged();
            let orphan = self.orphan.take();
            let orphan = orphan.filter(|orphan| orphan.acknowledged == acknowledged);
            let mut orphan = orphan.unwrap_or_else(|| {
                Box::new(Orphan {
                    acknowledged,
                    left: match send.is_complete() {
                        true => options.time_to_live,
                        false => options.time_to_live.saturating_mul(ORPHAN_TIMES),
                    },
                    until: None,
                })
            });
            orphan.count(is_attached, now);
            self.orphan = Some(orphan);
        }
    }

    /// Returns whether one of the limits is over. It reads the clock only if there is one.
    pub(super) fn is_due(&self, now: &RoundTime) -> bool {
        self.timeout().is_some_and(|at| at <= now.get())
    }

    pub(super) fn is_close_late(&self, now: Instant) -> bool {
        self.close_at.is_some_and(|at| at <= now)
    }

    pub(super) fn is_orphan_late(&self, now: Instant) -> bool {
        self.orphan_until().is_some_and(|at| at <= now)
    }

    /// Returns when the next of the limits is over.
    pub(super) fn timeout(&self) -> Option<Instant> {
        // A session that has ended has no application to wait for.
        self.close_at.or(self.orphan_until())
    }

    fn orphan_until(&self) -> Option<Instant> {
        self.orphan.as_ref()?.until
    }
}

impl Orphan {
    /// Counts the time with a connection.
    fn count(&mut self, is_attached: bool, now: &RoundTime) {
        if is_attached {
            let until = || now.get().checked_add(self.left);
            self.until = self.until.or_else(until);
        } else if let Some(until) = self.until.take() {
            self.left = until.saturating_duration_since(now.get());
        }
    }
}
