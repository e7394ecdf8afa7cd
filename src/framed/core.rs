//! The state of a stream of messages: pure, without a connection, a waker or a clock.

use std::io;

use super::confirm::Confirms;
use super::connector::ReadParts;
use super::recv_queue::{Limits, RecvQueue};
use super::send_buffer::{Durability, Resend, SendBuffer};
use crate::error::ConnectionLost;

/// What happens to messages that are sent while there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OfflineQueue {
    /// They wait for the next connection. When the queue is full, the sender waits.
    #[default]
    Keep,
    /// They are refused: the sink returns an error of kind
    /// [`NotConnected`](std::io::ErrorKind::NotConnected) until there is a connection.
    Refuse,
    /// They wait for the next connection. When the queue is full, the oldest message that was
    /// never fully written to a connection is dropped, so a sender does not wait for room. For
    /// messages that lose their value with time: quotes, positions, telemetry.
    /// [`dropped_messages`](crate::ReconnectingFramed::dropped_messages) counts them.
    DropOldest,
}

/// The settings of messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) resend: Resend,
    pub(super) max_queued: usize,
    pub(super) offline: OfflineQueue,
    pub(super) keeps_unsent: bool,
    pub(super) limits: Limits,
}

/// What is queued by default before the sink is full.
const MAX_QUEUED: usize = 64 * 1024;

impl Default for Options {
    fn default() -> Self {
        Self {
            resend: Resend::default(),
            max_queued: MAX_QUEUED,
            offline: OfflineQueue::default(),
            keeps_unsent: true,
            limits: Limits::default(),
        }
    }
}

/// What was received and what is to be sent.
///
/// Its methods record what happened (`begin_connection`, `end_connection`, `set_send_error`), apply
/// what other tasks have asked for (`apply_confirms`) or a setting (`make_room`), or return a fact
/// (`unconfirmed`, `is_refusing`). The pump moves the bytes.
#[derive(Debug)]
pub(super) struct Core<U> {
    pub(super) recv: RecvQueue<U>,
    pub(super) send: SendBuffer,
    pub(super) confirms: Confirms,
    /// An error of a write that is the sender's and did not end the connection.
    send_error: Option<io::Error>,
    offline: OfflineQueue,
    keeps_unsent: bool,
    /// The generation of the connection that is installed.
    generation: Option<u64>,
}

impl<U> Core<U> {
    pub(super) fn new(options: Options) -> Self {
        Self {
            recv: RecvQueue::new(options.limits),
            send: SendBuffer::new(options.resend, options.max_queued),
            confirms: Confirms::default(),
            send_error: None,
            offline: options.offline,
            keeps_unsent: options.keeps_unsent,
            generation: None,
        }
    }

    /// Returns the generation of the connection that is installed.
    #[inline]
    pub(super) fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// Installs a connection.
    pub(super) fn begin_connection(&mut self, generation: u64, parts: ReadParts<U>) {
        debug_assert!(self.generation.is_none());
        self.generation = Some(generation);
        self.confirms.apply(&mut self.send);
        self.send.begin_connection();
        self.send.set_blocked(self.send_error.is_some());
        self.recv.begin_connection(parts.codec, parts.read);
    }

    /// Records the end of the connection, which was lost or closed in order.
    pub(super) fn end_connection(&mut self, lost: Option<ConnectionLost>) {
        self.generation = None;
        self.confirms.apply(&mut self.send);
        let written = self.send.written_range();
        self.confirms.end_connection(written);
        self.send.end_connection(self.keeps_unsent);
        self.send.set_blocked(true);
        self.recv.end_connection(lost, written);
    }

    /// Applies confirmations that came from other tasks.
    #[inline]
    pub(super) fn apply_confirms(&mut self) {
        self.confirms.apply(&mut self.send);
    }

    /// Returns how many messages are kept and not confirmed.
    pub(super) fn unconfirmed(&self) -> usize {
        self.confirms.unconfirmed(&self.send)
    }

    /// Keeps an error for the sender.
    pub(super) fn set_send_error(&mut self, error: io::Error) {
        self.send_error = Some(error);
        self.send.set_blocked(true);
    }

    pub(super) fn take_send_error(&mut self) -> Option<io::Error> {
        let error = self.send_error.take()?;
        self.send.set_blocked(self.generation.is_none());
        Some(error)
    }

    #[inline]
    pub(super) fn has_send_error(&self) -> bool {
        self.send_error.is_some()
    }

    /// Returns whether another message can be accepted. During an outage it may drop the oldest
    /// messages, as the setting says.
    pub(super) fn make_room(&mut self, durability: Durability) -> bool {
        if self.generation.is_none() {
            match (durability, self.offline) {
                // It is dropped when it is sent.
                (Durability::Transient, _) => return true,
                (Durability::Durable, OfflineQueue::Refuse) => return false,
                (Durability::Durable, OfflineQueue::DropOldest) => {
                    self.send.drop_oldest_above_limit();
                    return true;
                }
                (Durability::Durable, OfflineQueue::Keep) => {}
            }
        }
        self.send.has_room(durability)
    }

    /// Returns whether messages are refused now, because there is no connection.
    pub(super) fn is_refusing(&self, durability: Durability) -> bool {
        self.generation.is_none()
            && self.offline == OfflineQueue::Refuse
            && durability == Durability::Durable
    }
}
