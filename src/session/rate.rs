//! A limit on how often something happens.

use std::time::Instant;

/// How often something has happened in the current second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    second: Option<Instant>,
    count: u32,
}

impl Rate {
    /// Counts, and returns whether it was not more than `most` in this second.
    pub(super) fn allow(&mut self, now: Instant, most: u32) -> bool {
        let is_over = |since: Instant| now.saturating_duration_since(since).as_secs() >= 1;
        if self.second.is_none_or(is_over) {
            (self.second, self.count) = (Some(now), 0);
        }
        let is_allowed = self.count < most;
        self.count += u32::from(is_allowed);
        is_allowed
    }
}
