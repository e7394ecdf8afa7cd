//! What has arrived and was not delivered: the bytes of connections, and the seams between them.

use std::collections::VecDeque;
use std::io;

use bytes::BytesMut;
use tokio_util::codec::Decoder;

use super::ended::EndedConnection;
use super::recv_buffer::Decoded;
pub(super) use super::recv_buffer::{Received, RecvBuffer};
use super::send_buffer::WrittenRange;
use crate::error::ConnectionLost;

/// How many seams without items may wait for the reader before the oldest ones become one.
const MAX_SEAMS: usize = 64;

/// How much may wait for the reader. The limits are enforced when a connection begins or ends, by
/// dropping what lost connections have left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The bytes of all connections together, the current one included.
    pub(super) bytes: usize,
    /// The lost connections that have bytes left.
    pub(super) connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 1024 * 1024,
            connections: 8,
        }
    }
}

/// One sequence for the reader: the items of the connections that have ended, each followed by its
/// seam, then those of the current connection.
#[derive(Debug)]
pub(super) struct RecvQueue<U> {
    ended: VecDeque<EndedConnection<U>>,
    current: Option<RecvBuffer<U>>,
    /// The reader has not come to the current connection.
    is_behind: bool,
    /// The loss that no connection follows, if no seam reports it. It is returned at the end,
    /// whatever the seam.
    final_loss: Option<ConnectionLost>,
    limits: Limits,
}

impl<U> RecvQueue<U> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            ended: VecDeque::new(),
            current: None,
            is_behind: true,
            final_loss: None,
            limits,
        }
    }

    /// Returns whether the reader is on the current connection.
    #[inline]
    pub(super) fn is_up_to_date(&self) -> bool {
        !self.is_behind
    }

    #[inline]
    pub(super) fn current(&self) -> Option<&RecvBuffer<U>> {
        self.current.as_ref()
    }

    #[inline]
    pub(super) fn current_mut(&mut self) -> Option<&mut RecvBuffer<U>> {
        self.current.as_mut()
    }

    /// Returns whether a sender may read ahead on the current connection.
    #[inline]
    pub(super) fn may_read_ahead(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(RecvBuffer::may_read_ahead)
    }

    /// Returns whether more may be read from a connection that is about to be dropped.
    pub(super) fn may_drain(&self) -> bool {
        let bytes = self.current.as_ref().map(|buffer| buffer.bytes().len());
        bytes.is_some_and(|bytes| bytes <= self.limits.bytes)
    }

    /// Returns whether reading ahead has stopped because of errors.
    #[inline]
    pub(super) fn is_failing(&self) -> bool {
        self.current.as_ref().is_some_and(RecvBuffer::is_failing)
    }

    /// Lets a sender try again to read ahead: it has to see the end of the connection although no
    /// reader gets the errors.
    pub(super) fn retry_reading(&mut self) {
        if let Some(buffer) = &mut self.current {
            buffer.retry_reading();
        }
    }

    /// Installs a connection, with the bytes that were read beyond its handshake.
    pub(super) fn begin_connection(&mut self, codec: U, bytes: BytesMut) {
        debug_assert!(self.current.is_none());
        self.current = Some(RecvBuffer::new(codec, bytes));
        self.is_behind = true;
        self.enforce_limits();
    }

    /// Records the end of the current connection, which was lost or closed in order. `written` are
    /// the messages that were written to it.
    pub(super) fn end_connection(
        &mut self,
        mut lost: Option<ConnectionLost>,
        written: WrittenRange,
    ) {
        let mut buffer = self.current.take();
        if let (Some(lost), Some(buffer)) = (&mut lost, &buffer) {
            let is_cut_off = buffer.is_exhausted() && buffer.bytes().len() > self.limits.bytes;
            if is_cut_off {
                // The rest of this message was not read from the kernel.
                lost.dropped_bytes += buffer.bytes().len() as u64;
            }
        }
        if lost.is_some() {
            if let Some(buffer) = &mut buffer {
                buffer.cut();
            }
        }
        let buffer = buffer.filter(|buffer| !buffer.is_exhausted());
        self.ended.push_back(EndedConnection {
            buffer,
            lost,
            written,
            is_entered: !self.is_behind,
        });
        self.is_behind = true;
        self.enforce_limits();
    }

    /// Returns whether the current connection's stream has ended and the codec was asked for the
    /// last item.
    pub(super) fn is_at_end(&self) -> bool {
        self.current.as_ref().is_some_and(RecvBuffer::is_at_end)
    }

    /// Drops what the current connection has brought, since it can't be decoded.
    pub(super) fn discard_current(&mut self) {
        if let Some(buffer) = &mut self.current {
            buffer.discard();
        }
    }

    /// Returns this loss to the reader at the end, unless a seam that it has not reached reports it.
    pub(super) fn set_final_loss(&mut self, lost: ConnectionLost) {
        let is_reported = |ended: &EndedConnection<U>| {
            let seam = ended.lost.as_ref();
            seam.is_some_and(|seam| seam.generation == lost.generation)
        };
        if !self.ended.iter().any(is_reported) {
            self.final_loss = Some(lost);
        }
        self.is_behind = true;
    }

    /// Drops the remainders of the oldest lost connections until the rest is within the limits.
    fn enforce_limits(&mut self) {
        let remainders = self.ended.iter().filter_map(|ended| ended.buffer.as_ref());
        let mut bytes: usize = remainders
            .chain(&self.current)
            .map(|buffer| buffer.bytes().len())
            .sum();
        for ended in &mut self.ended {
            if bytes > self.limits.bytes && ended.may_be_dropped() {
                bytes -= ended.drop_remainder();
            }
        }
        let limit = self.limits.connections.max(1);
        let has_bytes = |ended: &&EndedConnection<U>| ended.has_bytes();
        let mut remainders = self.ended.iter().filter(has_bytes).count();
        for ended in &mut self.ended {
            if remainders > limit && ended.may_be_dropped() {
                ended.drop_remainder();
                remainders -= 1;
            }
        }
        while self.ended.len() > limit + MAX_SEAMS && self.merge_oldest_seams() {}
    }

    /// Merges the oldest seam that has no bytes between it and the next one into that.
    fn merge_oldest_seams(&mut self) -> bool {
        let is_seam = |ended: &EndedConnection<U>| !ended.has_bytes() && ended.lost.is_some();
        let mut pairs = self.ended.iter().zip(self.ended.iter().skip(1));
        // The reader may be in the middle of the first one.
        let is_mergeable = |ended: &EndedConnection<U>| is_seam(ended) && !ended.is_entered;
        let Some(oldest) = pairs.position(|(a, b)| is_mergeable(a) && is_seam(b)) else {
            return false;
        };
        let merged = self.ended.remove(oldest).and_then(|ended| ended.lost);
        let next = self
            .ended
            .get_mut(oldest)
            .and_then(|ended| ended.lost.as_mut());
        if let (Some(merged), Some(next)) = (merged, next) {
            next.dropped_bytes += merged.dropped_bytes;
        }
        true
    }
}

impl<U: Decoder> RecvQueue<U> {
    /// Returns the next item of the current connection. Call this only if the reader is up to
    /// date.
    #[inline]
    pub(super) fn next_current(&mut self) -> Decoded<U> {
        match &mut self.current {
            Some(buffer) => buffer.decode(),
            None => Received::Nothing,
        }
    }

    /// Returns the next item or seam: of the connections that have ended, then of the current one.
    /// `on_move` is called when the reader comes to a connection, with the messages that were
    /// written to it; `None` for the current one.
    pub(super) fn next(&mut self, mut on_move: impl FnMut(Option<WrittenRange>)) -> Decoded<U> {
        while let Some(ended) = self.ended.front_mut() {
            if !ended.is_entered {
                ended.is_entered = true;
                on_move(Some(ended.written));
            }
            if let Some(item) = ended.next_item() {
                return Received::Item(item);
            }
            if let Some(lost) = self.ended.pop_front().and_then(|ended| ended.lost) {
                return Received::Seam(lost);
            }
        }
        if self.current.is_some() {
            if std::mem::take(&mut self.is_behind) {
                on_move(None);
            }
            return self.next_current();
        }
        match self.final_loss.take() {
            Some(lost) => Received::FinalLoss(lost),
            None => Received::Nothing,
        }
    }

    /// Returns whether the current connection keeps an error for the reader.
    #[inline]
    pub(super) fn has_error(&self) -> bool {
        self.current.as_ref().is_some_and(RecvBuffer::has_error)
    }

    /// Takes the error that the current connection keeps for the reader.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.current.as_mut()?.take_error()
    }

    /// Returns whether the reader can get anything without another read.
    pub(super) fn has_more(&self) -> bool {
        let is_undecoded = |buffer: &RecvBuffer<U>| !buffer.is_exhausted();
        !self.ended.is_empty()
            || self.final_loss.is_some()
            || self.current.as_ref().is_some_and(is_undecoded)
    }

    /// Returns whether there is no connection and nothing of an earlier one.
    pub(super) fn is_empty(&self) -> bool {
        self.ended.is_empty() && self.current.is_none()
    }
}
