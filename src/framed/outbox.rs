//! What was accepted and may have to be sent (again).

use std::sync::Arc;

use bytes::{Buf, BytesMut};

use super::answers::{Answers, Origin};
use super::confirm::Pending;
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
    /// ([`confirm`](crate::ReconnectingFramed::confirm), or
    /// [`answered`](crate::ReconnectingFramed::answered)), and sent again, oldest first, before
    /// anything new: at least once, no gap, no reordering of what is sent. A message that is only
    /// fed leaves with the next flush, or when there is no room for another.
    Unconfirmed {
        /// How many bytes are kept, encoded, before the sink is full. One message may go beyond
        /// it. Only a confirmation makes room, so the peer's answers have to be read meanwhile: a
        /// task that sends more than this before it reads waits for ever in its `send`.
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
    /// Something was in `buffer` when this connection began, and was not written and flushed
    /// since: that goes out whoever polls.
    owes: bool,
    /// This connection has not taken anything yet.
    is_untouched: bool,
    /// The messages that this connection has taken whole; none with `Torn`, which lets go of
    /// them.
    handed: usize,
    /// Their bytes. Never above `taken`.
    handed_bytes: usize,
    /// The messages that some connection has taken whole: what can be confirmed.
    known: usize,
    /// The number of the oldest message, since the first one ever.
    oldest: u64,
    /// Of this connection.
    origin: Origin,
    /// What the reader has read of answers.
    answers: Answers,
    /// Confirmations that have not been applied.
    pending: Arc<Pending>,
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
            owes: false,
            is_untouched: true,
            handed: 0,
            handed_bytes: 0,
            known: 0,
            oldest: 0,
            origin: Origin::default(),
            answers: Answers::default(),
            pending: Arc::default(),
        };
        outbox.set_taken(0);
        outbox
    }

    #[inline]
    fn set_taken(&mut self, taken: usize) {
        let most_kept = match self.resend {
            Resend::Torn => usize::MAX,
            Resend::Unconfirmed { max_bytes } => max_bytes.max(1),
        };
        self.taken = taken;
        self.full_at = taken.saturating_add(self.max_queued).min(most_kept);
    }

    /// A fresh connection has taken nothing yet.
    pub(super) fn begin(&mut self) -> Origin {
        self.set_taken(0);
        (self.handed, self.handed_bytes) = (0, 0);
        self.is_untouched = true;
        self.origin = self.origin.next(self.oldest);
        self.apply_confirmations();
        self.owes = !self.buffer.is_empty();
        self.origin
    }

    pub(super) fn origin(&self) -> Origin {
        self.origin
    }

    /// The reader is about to get what has come from this connection. What was answered until
    /// now was answered on the one that it read from before.
    pub(super) fn read_from(&mut self, origin: Origin) {
        if !self.answers.are_of(origin) {
            self.apply_confirmations();
            let is_this = self.origin.is_of_the_connection_of(origin);
            self.answers = Answers::of(if is_this { self.origin } else { origin });
        }
    }

    /// Whether something was accepted before this connection began, and is not on it yet.
    #[inline]
    pub(super) fn is_behind(&self) -> bool {
        self.owes
    }

    /// The connection was flushed, after it had taken all.
    #[inline]
    pub(super) fn flushed(&mut self) {
        self.owes = false;
    }

    pub(super) fn pending(&self) -> Arc<Pending> {
        Arc::clone(&self.pending)
    }

    /// Whether there are confirmations that were not applied.
    #[inline]
    pub(super) fn has_confirmations(&self) -> bool {
        !self.pending.is_empty()
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
        self.is_untouched = false;
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
    #[inline]
    fn empty(&mut self) {
        self.oldest += self.lengths.len() as u64;
        self.buffer.clear();
        self.lengths.clear();
        self.set_taken(0);
        (self.handed, self.handed_bytes, self.known) = (0, 0, 0);
    }

    /// Lets go of what was confirmed. Once a connection has taken anything, what it has not taken
    /// whole stays until it has: the answers on it are counted from what it was given.
    pub(super) fn apply_confirmations(&mut self) {
        if !self.has_confirmations() {
            return;
        }
        let answered = self.pending.answers().take();
        let answered = self.answers.add(answered, self.oldest, self.known);
        let confirmed = self.pending.messages().take().max(answered);
        let confirmed = confirmed.min(self.known);
        let free = if self.is_untouched {
            self.known
        } else {
            self.handed
        };
        self.let_go(confirmed.min(free));
        let later = confirmed.saturating_sub(free);
        if later > 0 {
            self.pending.messages().add(later);
        }
    }

    /// The first message that this connection will be given is another one.
    fn begin_at_oldest(&mut self) {
        self.origin.message = self.oldest;
        if self.answers.are_of(self.origin) {
            self.answers = Answers::of(self.origin);
        }
    }

    /// Of the `n` oldest messages, which are not partly taken.
    fn let_go(&mut self, n: usize) {
        self.oldest += n as u64;
        if self.is_untouched {
            self.begin_at_oldest();
        }
        let bytes = self.lengths.remove(n);
        self.buffer.advance(bytes);
        self.set_taken(self.taken.saturating_sub(bytes));
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
