//! What was accepted and may have to be sent (again).

use std::sync::Arc;

use bytes::{Buf, BytesMut};

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
    /// The number of the oldest message, since the first one ever.
    oldest: u64,
    /// The number of the connection, as those that have been used are counted.
    connection: u64,
    /// What the reader has read of answers.
    answers: Answers,
    /// Confirmations that have not been applied.
    pending: Arc<Pending>,
}

/// Where the messages of a connection begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    connection: u64,
    /// The first message that it was given.
    message: u64,
}

/// The answers of one connection: that which the reader is on.
#[derive(Debug, Default)]
struct Answers {
    origin: Origin,
    count: u64,
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
            oldest: 0,
            connection: 0,
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
        self.apply_confirmations();
        self.owed = self.buffer.len();
        self.connection += 1;
        Origin {
            connection: self.connection,
            message: self.oldest,
        }
    }

    /// The reader is about to get what has come from this connection. What was answered until
    /// now was answered on the one that it read from before.
    pub(super) fn read_from(&mut self, origin: Origin) {
        if self.answers.origin != origin {
            self.apply_confirmations();
            self.answers = Answers { origin, count: 0 };
        }
    }

    /// Whether something was accepted before this connection began, and is not on it yet.
    #[inline]
    pub(super) fn is_behind(&self) -> bool {
        self.taken < self.owed
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
        self.owed = 0;
        (self.handed, self.handed_bytes, self.known) = (0, 0, 0);
    }

    /// Lets go of what was confirmed. A message that is on its way stays until it is whole.
    pub(super) fn apply_confirmations(&mut self) {
        if !self.has_confirmations() {
            return;
        }
        let confirmed = self.pending.messages().take();
        let confirmed = confirmed.max(self.newly_answered()).min(self.known);
        let is_cut = self.taken > self.handed_bytes;
        let free = if is_cut { self.handed } else { self.known };
        self.let_go(confirmed.min(free));
        let later = confirmed.saturating_sub(free);
        if later > 0 {
            self.pending.messages().add(later);
        }
    }

    /// How many of the oldest messages have been answered.
    fn newly_answered(&mut self) -> usize {
        let Answers { origin, count } = &mut self.answers;
        *count = count.saturating_add(self.pending.answers().take() as u64);
        let all = self.oldest + self.known as u64;
        *count = (*count).min(all.saturating_sub(origin.message));
        let answered = (origin.message + *count).saturating_sub(self.oldest);
        usize::try_from(answered).unwrap_or(usize::MAX)
    }

    /// Of the `n` oldest messages, which are not partly taken.
    fn let_go(&mut self, n: usize) {
        self.oldest += n as u64;
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
