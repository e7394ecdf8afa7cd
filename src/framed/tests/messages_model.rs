//! What a `SendBuffer` has to be, as a list of messages.

use super::messages::message;
use crate::framed::send_buffer::{Durability, Resend, WrittenRange};

#[derive(Debug)]
struct Message {
    number: u16,
    bytes: Vec<u8>,
    durability: Durability,
    /// How many bytes this connection has taken. All of them in a message that is kept until it
    /// is confirmed.
    taken: usize,
    is_sent: bool,
    /// Its sequence number, once a connection has taken it whole.
    seq: Option<u64>,
}

/// The messages that are kept, in order.
#[derive(Debug)]
pub(super) struct Model {
    resend: Resend,
    max_queued: usize,
    messages: Vec<Message>,
    /// How many durable messages were taken whole by a connection. 0 with [`Resend::Torn`].
    pub(super) sent_seq: u64,
    pub(super) confirmed: u64,
    /// The first message of which this connection has accepted a byte.
    pub(super) written_from: Option<u64>,
    pub(super) is_connected: bool,
    needs_flush: bool,
    has_backlog: bool,
    /// The numbers of those that were dropped.
    pub(super) dropped: Vec<u16>,
}

impl Model {
    pub(super) fn new(resend: Resend, max_queued: usize) -> Self {
        Self {
            resend,
            max_queued,
            messages: Vec::new(),
            sent_seq: 0,
            confirmed: 0,
            written_from: None,
            is_connected: false,
            needs_flush: false,
            has_backlog: false,
            dropped: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, durability: Durability, number: u16, len: usize) {
        if len == 0 {
            return;
        }
        self.messages.push(Message {
            number,
            bytes: message(number, len),
            durability,
            taken: 0,
            is_sent: false,
            seq: None,
        });
    }

    pub(super) fn advance(&mut self, mut n: usize) {
        self.needs_flush = true;
        self.written_from.get_or_insert(self.first_seq());
        for message in self.messages.iter_mut().filter(|message| !message.is_sent) {
            let more = n.min(message.bytes.len() - message.taken);
            message.taken += more;
            n -= more;
        }
        assert_eq!(n, 0, "no more than there is");
        self.complete();
    }

    /// Messages are complete in their order.
    fn complete(&mut self) {
        let mut sent_end = self.written_from.unwrap_or(0) + self.sent_on_this_connection();
        for message in self.messages.iter_mut().filter(|message| !message.is_sent) {
            if message.taken < message.bytes.len() {
                break;
            }
            message.is_sent = true;
            if message.durability == Durability::Durable && self.resend != Resend::Torn {
                let seq = *message.seq.get_or_insert(sent_end);
                assert_eq!(seq, sent_end, "sent again in its place");
                sent_end += 1;
            }
        }
        self.sent_seq = self.sent_seq.max(sent_end);
        let is_kept = |message: &Message| !message.is_sent || message.seq.is_some();
        self.messages.retain(is_kept);
        self.release();
    }

    /// The messages of this connection that are confirmed and gone count, too.
    fn sent_on_this_connection(&self) -> u64 {
        let Some(start) = self.written_from else {
            return 0;
        };
        self.first_seq() - start + self.messages.iter().filter(|m| m.is_sent).count() as u64
    }

    /// Drops what is confirmed and not on its way on this connection.
    fn release(&mut self) {
        let (confirmed, has_begun) = (self.confirmed, self.written_from.is_some());
        self.messages.retain(|message| {
            let is_confirmed = message.seq.is_some_and(|seq| seq < confirmed);
            !is_confirmed || (has_begun && !message.is_sent)
        });
        self.has_backlog &= has_begun || !self.messages.is_empty();
    }

    pub(super) fn on_flushed(&mut self) {
        self.needs_flush = false;
        self.has_backlog = false;
    }

    pub(super) fn begin_connection(&mut self) {
        self.is_connected = true;
        self.has_backlog = !self.messages.is_empty();
    }

    pub(super) fn end_connection(&mut self, keeps_unsent: bool) {
        self.is_connected = false;
        self.written_from = None;
        self.needs_flush = false;
        self.has_backlog = false;
        let is_dropped = |message: &Message| message.seq.is_none() && !keeps_unsent;
        let durable = |message: &&Message| message.durability == Durability::Durable;
        let dropped = self.messages.iter().filter(durable);
        let dropped = dropped.filter(|message| is_dropped(message));
        self.dropped.extend(dropped.map(|message| message.number));
        self.messages
            .retain(|message| message.durability == Durability::Durable && !is_dropped(message));
        for message in &mut self.messages {
            message.taken = 0;
            message.is_sent = false;
        }
        self.release();
    }

    pub(super) fn confirm_up_to(&mut self, seq: u64) {
        self.confirmed = self.confirmed.max(seq.min(self.sent_seq));
        self.release();
    }

    pub(super) fn drop_oldest_above_limit(&mut self) {
        let unsent = |m: &&Message| m.seq.is_none();
        let bytes = |messages: &[Message]| -> usize {
            let unsent = messages.iter().filter(unsent);
            unsent.map(|message| message.bytes.len()).sum()
        };
        while bytes(&self.messages) >= self.max_queued.max(1) {
            let oldest = self.messages.iter().position(|m| m.seq.is_none());
            let oldest = oldest.expect("there are bytes");
            self.dropped.push(self.messages.remove(oldest).number);
        }
    }

    pub(super) fn unwritten(&self) -> Vec<u8> {
        let rest = self.messages.iter().filter(|message| !message.is_sent);
        rest.flat_map(|message| &message.bytes[message.taken..])
            .copied()
            .collect()
    }

    pub(super) fn has_room(&self, durability: Durability) -> bool {
        let window = match self.resend {
            Resend::Unconfirmed { max_bytes } if durability == Durability::Durable => {
                max_bytes.max(1)
            }
            Resend::Unconfirmed { .. } | Resend::Torn => usize::MAX,
        };
        let kept: usize = self.durable().map(|message| message.bytes.len()).sum();
        self.unwritten().len() < self.max_queued.max(1) && kept < window
    }

    fn durable(&self) -> impl Iterator<Item = &Message> {
        self.messages
            .iter()
            .filter(|m| m.durability == Durability::Durable)
    }

    pub(super) fn unconfirmed(&self) -> usize {
        let is_confirmed = |m: &&Message| m.seq.is_some_and(|seq| seq < self.confirmed);
        self.durable().filter(|m| !is_confirmed(m)).count()
    }

    pub(super) fn is_flushed(&self) -> bool {
        !self.needs_flush && self.messages.iter().all(|message| message.is_sent)
    }

    pub(super) fn has_backlog(&self) -> bool {
        self.has_backlog && !self.is_flushed()
    }

    pub(super) fn written_range(&self) -> WrittenRange {
        let start = self.written_from.unwrap_or_else(|| self.first_seq());
        WrittenRange {
            start,
            end: start + self.sent_on_this_connection(),
        }
    }

    /// Returns the sequence number of the first message that is kept.
    fn first_seq(&self) -> u64 {
        let first = self.messages.iter().find_map(|message| message.seq);
        first.unwrap_or(self.sent_seq)
    }

    /// Returns the number of the oldest durable message that is kept and not confirmed.
    pub(super) fn oldest_unconfirmed(&self) -> Option<u16> {
        let is_confirmed = |m: &&Message| m.seq.is_some_and(|seq| seq < self.confirmed);
        self.durable().find(|m| !is_confirmed(m)).map(|m| m.number)
    }
}
