//! What is confirmed and released.

use super::Durability;
use super::{SendBuffer, WrittenRange};

impl SendBuffer {
    /// Returns which messages were written to this connection.
    pub(crate) fn written_range(&self) -> WrittenRange {
        WrittenRange {
            start: self.written_from.unwrap_or(self.first_seq),
            end: self.first_seq + self.sent.frames.len() as u64,
        }
    }

    /// Returns the end of the messages that were fully written to some connection: those that can
    /// be confirmed.
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

    /// Removes the confirmed messages that were fully written to this connection, and those that wait
    /// while no byte was written to it.
    pub(super) fn release(&mut self) {
        while self.first_seq < self.confirmed_seq {
            let next_is_untouched = self.written_from.is_none()
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
