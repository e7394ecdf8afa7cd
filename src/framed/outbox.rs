//! What was accepted and may have to be sent (again).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, BytesMut};

use super::lengths::Lengths;

/// What becomes of messages that were fully handed to a connection that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Resend {
    /// They may have arrived or not; they are not sent again. Only a message that was torn by
    /// the loss is, whole: at most once.
    #[default]
    Torn,
    /// They are kept until they are confirmed
    /// ([`confirm`](crate::ReconnectingFramed::confirm)), and sent again, oldest first, before
    /// anything new: at least once, no gap, no reordering.
    Unconfirmed {
        /// How many bytes are kept, encoded, before the sink is full. One message may go beyond
        /// it.
        max_bytes: usize,
    },
}

/// Whole messages, encoded, in order: those that were handed to this connection and are kept,
/// the one that is on its way, those that wait.
#[derive(Debug)]
pub(super) struct Outbox {
    resend: Resend,
    max_queued: usize,
    /// How long `buffer` is when no other message can be accepted. Always what `max_queued`,
    /// `resend` and `taken` make of it.
    full_at: usize,
    /// Begins with the beginning of a message, and ends with the end of one.
    buffer: BytesMut,
    /// Of each message in `buffer`. Their sum is the length of `buffer`.
    lengths: Lengths,
    /// The bytes of `buffer` that this connection has taken.
    taken: usize,
    /// The bytes of `buffer` that were there when this connection began: they go out whoever
    /// polls. At most the length of `buffer`.
    owed: usize,
    /// The messages that this connection has taken whole; none with `Torn`, which lets go of
    /// them.
    handed: usize,
    /// Their bytes. Never above `taken`.
    handed_bytes: usize,
    /// The messages that some connection has taken whole: what can be confirmed.
    known: usize,
    /// Confirmations that have not been applied.
    confirmed: Arc<AtomicUsize>,
}

impl Outbox {
    pub(super) fn new(resend: Resend, max_queued: usize) -> Self {
        let mut outbox = Self {
            resend,
            max_queued: max_queued.max(1),
            full_at: 0,
            buffer: BytesMut::new(),
            lengths: Lengths::default(),
            taken: 0,
            owed: 0,
            handed: 0,
            handed_bytes: 0,
            known: 0,
            confirmed: Arc::default(),
        };
        outbox.set_taken(0);
        outbox
    }

    fn set_taken(&mut self, taken: usize) {
        let most_kept = match self.resend {
            Resend::Torn => usize::MAX,
            Resend::Unconfirmed { max_bytes } => max_bytes.max(1),
        };
        self.taken = taken;
        self.full_at = taken.saturating_add(self.max_queued).min(most_kept);
    }

    /// A fresh connection has taken nothing yet.
    pub(super) fn begin(&mut self) {
        self.set_taken(0);
        (self.handed, self.handed_bytes) = (0, 0);
        self.owed = self.buffer.len();
    }

    /// Whether something was accepted before this connection began, and is not on it yet.
    #[inline]
    pub(super) fn is_behind(&self) -> bool {
        self.taken < self.owed
    }

    pub(super) fn confirmed(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.confirmed)
    }

    /// Whether there are confirmations that were not applied.
    pub(super) fn has_confirmations(&self) -> bool {
        self.confirmed.load(Ordering::Acquire) > 0
    }

    pub(super) fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether another message can be accepted.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.buffer.len() < self.full_at
    }

    /// What the connection has not taken yet.
    #[inline]
    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    /// Accepts a message, unless it can't be encoded.
    #[inline]
    pub(super) fn push<E>(
        &mut self,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<(), E> {
        let attempt = Unfinished {
            before: self.buffer.len(),
            buffer: &mut self.buffer,
        };
        encode(attempt.buffer)?;
        let length = attempt.finish();
        self.lengths.push(length);
        if length == 0 {
            self.settle();
        }
        Ok(())
    }

    /// The connection has taken so many bytes of the rest.
    #[inline]
    pub(super) fn take(&mut self, n: usize) {
        self.set_taken(self.taken + n);
        self.settle();
    }

    /// Counts what was handed over whole.
    fn settle(&mut self) {
        if self.resend == Resend::Torn && self.taken == self.buffer.len() {
            return self.empty();
        }
        while let Some(length) = self.lengths.get(self.handed) {
            if self.handed_bytes + length > self.taken {
                break;
            }
            self.handed_bytes += length;
            self.handed += 1;
        }
        self.known = self.known.max(self.handed);
        if self.resend == Resend::Torn {
            self.let_go(self.handed);
        }
    }

    /// All of it was handed over. Unlike `advance`, `clear` leaves the room of the buffer where
    /// it is: nothing has to be moved for the next message.
    fn empty(&mut self) {
        self.buffer.clear();
        self.lengths.clear();
        self.set_taken(0);
        self.owed = 0;
        (self.handed, self.handed_bytes, self.known) = (0, 0, 0);
    }

    /// Lets go of what was confirmed. A message that is on its way stays until it is whole.
    pub(super) fn apply_confirmations(&mut self) {
        if !self.has_confirmations() {
            return;
        }
        let confirmed = self.confirmed.swap(0, Ordering::AcqRel).min(self.known);
        let is_cut = self.taken > self.handed_bytes;
        let free = if is_cut { self.handed } else { self.known };
        self.let_go(confirmed.min(free));
        let later = confirmed.saturating_sub(free);
        self.confirmed.fetch_add(later, Ordering::AcqRel);
    }

    /// Of the `n` oldest messages, which are not partly taken.
    fn let_go(&mut self, n: usize) {
        let bytes = self.lengths.remove(n);
        self.buffer.advance(bytes);
        self.set_taken(self.taken.saturating_sub(bytes));
        self.owed = self.owed.saturating_sub(bytes);
        self.handed_bytes = self.handed_bytes.saturating_sub(bytes);
        self.handed = self.handed.saturating_sub(n);
        self.known = self.known.saturating_sub(n);
    }
}

/// Takes back what an encoder has written, unless it finishes: it may fail, or panic.
struct Unfinished<'a> {
    before: usize,
    buffer: &'a mut BytesMut,
}

impl Unfinished<'_> {
    fn finish(self) -> usize {
        let length = self.buffer.len() - self.before;
        std::mem::forget(self);
        length
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.buffer.truncate(self.before);
    }
}
