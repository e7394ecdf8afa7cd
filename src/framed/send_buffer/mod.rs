//! The frames to send: those that wait, the one on its way, and those that are not confirmed.

mod release;

use bytes::BytesMut;

pub(super) use super::frames::Durability;
use super::frames::{EncodeGuard, Frame, FrameQueue, Tally};
pub(super) use super::resend::Resend;

/// Which messages were written to a connection, by their sequence numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WrittenRange {
    /// The first one.
    pub(super) start: u64,
    /// The end of those that were fully written.
    pub(super) end: u64,
}

/// Durable messages have sequence numbers, in the order in which they were accepted. With
/// [`Resend::Torn`] nothing is kept, and they all stay 0.
///
/// ```text
///            first_seq          sent end           queue end
///  released      |      sent       |      queue       |
/// ---------------+-----------------+------------------+
///                 fully written to  the first frame may be
///                 this connection   written in part
/// ```
///
/// A message is released when it is confirmed and no connection is in the middle of it. Once a byte
/// was written to this connection, the messages that were not stay in the queue even if they are
/// confirmed, so that it gets an unbroken sequence and its replies can be counted.
#[derive(Debug)]
pub(super) struct SendBuffer {
    resend: Resend,
    /// At most this many bytes wait to be written before the sink is full. At least 1.
    max_queued: usize,
    /// The length of `queue` at which [`may_push`](Self::may_push) is false: a cache of what
    /// [`full_at`](Self::full_at) computes.
    full_at: usize,
    /// What was fully written to this connection and is not released. Empty with [`Resend::Torn`].
    /// Without transient frames.
    sent: FrameQueue,
    /// What was not fully written to this connection.
    queue: FrameQueue,
    /// How many bytes of the first frame of `queue` were written to this connection.
    written: usize,
    /// The sequence number of the first durable message in `sent`, then `queue`.
    first_seq: u64,
    /// Every message before it was fully written to some connection.
    sent_seq: u64,
    /// Every message before it is confirmed. Between `first_seq` and `sent_seq`.
    confirmed_seq: u64,
    /// The first message that was written to this connection, once a byte was.
    written_from: Option<u64>,
    /// Bytes were written to this connection since it was last flushed.
    needs_flush: bool,
    /// Something was in `queue` when this connection began, and not all of `queue` has been
    /// written and flushed since.
    has_backlog: bool,
    dropped: u64,
    /// [`may_push`](Self::may_push) is false: there is no connection, or an error for the sender.
    is_blocked: bool,
}

impl SendBuffer {
    pub(super) fn new(resend: Resend, max_queued: usize) -> Self {
        Self {
            resend,
            max_queued: max_queued.max(1),
            full_at: 0,
            sent: FrameQueue::default(),
            queue: FrameQueue::default(),
            written: 0,
            first_seq: 0,
            sent_seq: 0,
            confirmed_seq: 0,
            written_from: None,
            needs_flush: false,
            has_backlog: false,
            dropped: 0,
            is_blocked: true,
        }
    }

    /// Sets whether [`may_push`](Self::may_push) is false although there is room.
    pub(super) fn set_blocked(&mut self, is_blocked: bool) {
        self.is_blocked = is_blocked;
        self.update_room();
    }

    /// Returns whether another durable message can be accepted without further checks.
    #[inline]
    pub(super) fn may_push(&self) -> bool {
        self.queue.bytes.len() < self.full_at
    }

    /// Returns whether there is room for another message of this durability.
    pub(super) fn has_room(&self, durability: Durability) -> bool {
        match durability {
            Durability::Durable => self.queue.bytes.len() < self.limit(),
            Durability::Transient => self.queue.bytes.len() - self.written < self.max_queued,
        }
    }

    /// Returns the length of `queue` at which the sink is full: the bound of what waits, or the
    /// window, in which transient frames take no room.
    #[inline]
    fn limit(&self) -> usize {
        let by_queue = self.written.saturating_add(self.max_queued);
        let window = self.resend.window().saturating_sub(self.sent.bytes.len());
        by_queue.min(window.saturating_add(self.queue.transient.bytes))
    }

    #[inline]
    fn full_at(&self) -> usize {
        if self.is_blocked { 0 } else { self.limit() }
    }

    #[inline]
    fn update_room(&mut self) {
        self.full_at = self.full_at();
        self.debug_assert_invariants();
    }

    /// Accepts a message, unless it can't be encoded. If `encode` fails or panics, nothing of the
    /// message stays. A message without bytes is complete: there is nothing to write or confirm.
    #[inline]
    pub(super) fn push<E>(
        &mut self,
        durability: Durability,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<(), E> {
        let guard = EncodeGuard {
            before: self.queue.bytes.len(),
            bytes: &mut self.queue.bytes,
        };
        encode(guard.bytes)?;
        let len = guard.finish();
        if len == 0 {
            return Ok(());
        }
        self.queue.frames.push_back(Frame { len, durability });
        if durability == Durability::Transient {
            self.queue.transient.add(len);
            self.update_room();
        }
        Ok(())
    }

    /// Returns the bytes that were not written to the connection.
    #[inline]
    pub(super) fn unwritten(&self) -> &[u8] {
        &self.queue.bytes[self.written..]
    }

    /// Records that this many of the unwritten bytes were written to the connection.
    #[inline]
    pub(super) fn advance(&mut self, n: usize) {
        self.needs_flush = true;
        self.written += n;
        if self.resend == Resend::Torn && self.written == self.queue.bytes.len() {
            // The usual case. Unlike `advance`, `clear` keeps the capacity in place.
            self.queue.clear();
            self.written = 0;
        } else {
            self.written_from.get_or_insert(self.first_seq);
            self.complete_frames();
        }
        self.update_room();
    }

    /// Moves the frames that are written whole to `sent`, or drops those that are not kept.
    fn complete_frames(&mut self) {
        let keeps = self.resend != Resend::Torn;
        let sent = &mut self.sent;
        self.written -= self.queue.pop_complete(self.written, |frame, bytes| {
            if keeps && frame.durability == Durability::Durable {
                sent.push(bytes, frame.durability);
            }
        });
        if keeps {
            let sent_end = self.first_seq + self.sent.frames.len() as u64;
            self.sent_seq = self.sent_seq.max(sent_end);
        }
        self.release();
    }

    /// Records a flush after everything was written.
    #[inline]
    pub(super) fn on_flushed(&mut self) {
        self.needs_flush = false;
        self.has_backlog &= !self.queue.frames.is_empty();
    }

    /// Returns whether every message was written and flushed.
    #[inline]
    pub(super) fn is_flushed(&self) -> bool {
        self.queue.frames.is_empty() && !self.needs_flush
    }

    /// Returns whether messages from before this connection have to be written or flushed.
    #[inline]
    pub(super) fn has_backlog(&self) -> bool {
        self.has_backlog
    }

    /// Records that a connection begins. Nothing was written to it.
    pub(super) fn begin_connection(&mut self) {
        self.has_backlog = !self.queue.frames.is_empty();
    }

    /// Records the end of the connection. Messages that it may not have delivered wait for the next
    /// one. Messages that were not fully written are dropped unless `keeps_unsent`.
    pub(super) fn end_connection(&mut self, keeps_unsent: bool) {
        self.written = 0;
        self.written_from = None;
        self.needs_flush = false;
        self.has_backlog = false;
        let may_stay = self.sent.frames.is_empty() && self.queue.transient.frames == 0;
        if !(may_stay && keeps_unsent) {
            self.rebuild_queue(keeps_unsent);
        }
        self.release();
        self.update_room();
    }

    /// Puts the frames of `sent` before those of `queue`, without the transient ones.
    fn rebuild_queue(&mut self, keeps_unsent: bool) {
        let mut rest = std::mem::replace(&mut self.queue, std::mem::take(&mut self.sent));
        let mut seq = self.first_seq + self.queue.frames.len() as u64;
        while let Some(&Frame { len, durability }) = rest.frames.front() {
            if durability == Durability::Durable {
                if keeps_unsent || seq < self.sent_seq {
                    self.queue.push(&rest.bytes[..len], durability);
                } else {
                    self.dropped += 1;
                }
                seq += 1;
            }
            rest.pop_front();
        }
    }

    /// Drops the oldest messages that were never fully written, until fewer than `max_queued`
    /// bytes of such messages wait. Call this only while there is no connection.
    pub(super) fn drop_oldest_above_limit(&mut self) {
        let kept = usize::try_from(self.sent_seq - self.first_seq).unwrap_or(usize::MAX);
        let kept_bytes: usize = self
            .queue
            .frames
            .iter()
            .take(kept)
            .map(|frame| frame.len)
            .sum();
        while self.queue.bytes.len() - kept_bytes >= self.max_queued && self.queue.remove(kept) {
            self.dropped += 1;
        }
        self.update_room();
    }

    #[inline]
    fn debug_assert_invariants(&self) {
        debug_assert_eq!(self.full_at, self.full_at());
        debug_assert!(self.resend != Resend::Torn || self.sent.frames.is_empty());
        debug_assert!(self.first_seq <= self.confirmed_seq && self.confirmed_seq <= self.sent_seq);
        debug_assert_eq!(self.sent.transient, Tally::default());
        let front = self.queue.frames.front();
        debug_assert!(front.map_or(self.written == 0, |frame| {
            self.written < frame.len || self.written == 0
        }));
        debug_assert!(
            self.written == 0 || self.written_from.is_some() || self.resend == Resend::Torn
        );
        debug_assert!(self.sent.is_consistent() && self.queue.is_consistent());
    }
}
