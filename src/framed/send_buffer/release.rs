//! What is confirmed and released.

use super::Durability;
use super::{Given, SendBuffer};

impl SendBuffer {
    /// Returns which messages this connection was given.
    pub(crate) fn given(&self) -> Given {
        Given {
            start: self.given_from.unwrap_or(self.first_seq),
            end: self.first_seq + self.sent.frames.len() as u64,
        }
    }

    /// Returns the end of the messages that some connection has taken whole: those that can be
    /// confirmed.
    pub(crate) fn sent_seq(&self) -> u64 {
        self.sent_seq
    }

    pub(crate) fn confirmed_seq(&self) -> u64 {
        self.confirmed_seq
    }

    /// Confirms every message before this sequence number.
    pub(crate) fn confirm_up_to(&mut self, seq: u64) {
        self.confirmed_seq = self.confirmed_seq.max(seq.min(self.sent_seq));
        self.release();
        self.update_room();
    }

    /// Removes the confirmed messages that this connection has taken whole, or was not given.
    pub(super) fn release(&mut self) {
        while self.first_seq < self.confirmed_seq {
            let next_is_untouched = self.given_from.is_none()
                && matches!(self.queue.frames.front(), Some(frame) if frame.durability == Durability::Durable);
            if !self.sent.frames.is_empty() {
                self.sent.pop_front();
            } else if next_is_untouched {
                self.queue.pop_front();
            } else {
                break;
            }
            self.first_seq += 1;
        }
        self.has_backlog &= !self.is_flushed();
    }

    /// Returns how many messages are kept that are not confirmed if every one before
    /// `confirmed_seq` is.
    pub(crate) fn unconfirmed(&self, confirmed_seq: u64) -> usize {
        let durable = self.queue.frames.len() - self.queue.transient.frames;
        let kept = self.sent.frames.len() + durable;
        let confirmed = confirmed_seq.saturating_sub(self.first_seq);
        kept.saturating_sub(usize::try_from(confirmed).unwrap_or(usize::MAX))
    }

    /// Returns how many messages were dropped because of the settings for an outage.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}
