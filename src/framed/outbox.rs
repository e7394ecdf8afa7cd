//! What was accepted and may have to be sent (again).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, BytesMut};

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
    /// Begins with the beginning of a message, and ends with the end of one.
    buffer: BytesMut,
    /// Of each message in `buffer`. Their sum is the length of `buffer`.
    lengths: VecDeque<usize>,
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
        Self {
            resend,
            max_queued: max_queued.max(1),
            buffer: BytesMut::new(),
            lengths: VecDeque::new(),
            taken: 0,
            owed: 0,
            handed: 0,
            handed_bytes: 0,
            known: 0,
            confirmed: Arc::default(),
        }
    }

    /// A fresh connection has taken nothing yet.
    pub(super) fn begin(&mut self) {
        (self.taken, self.handed, self.handed_bytes) = (0, 0, 0);
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
        let fits = match self.resend {
            Resend::Torn => true,
            Resend::Unconfirmed { max_bytes } => self.buffer.len() < max_bytes.max(1),
        };
        fits && self.buffer.len() - self.taken < self.max_queued
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
        self.lengths.push_back(length);
        if length == 0 {
            self.settle();
        }
        Ok(())
    }

    /// The connection has taken so many bytes of the rest.
    #[inline]
    pub(super) fn take(&mut self, n: usize) {
        self.taken += n;
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
        (self.taken, self.owed) = (0, 0);
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
        let bytes: usize = self.lengths.drain(..n).sum();
        self.buffer.advance(bytes);
        self.taken = self.taken.saturating_sub(bytes);
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
