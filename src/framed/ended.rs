//! What a connection that has ended still has for the reader.

use tokio_util::codec::Decoder;

use super::recv_buffer::{Received, RecvBuffer};
use super::send_buffer::WrittenRange;
use crate::error::ConnectionLost;

/// A connection that has ended.
#[derive(Debug)]
pub(super) struct EndedConnection<U> {
    pub(super) buffer: Option<RecvBuffer<U>>,
    /// The seam after its items; `None` if it was closed in order.
    pub(super) lost: Option<ConnectionLost>,
    /// The messages that were written to the connection.
    pub(super) written: WrittenRange,
    /// The reader has come to this connection.
    pub(super) is_entered: bool,
}

impl<U> EndedConnection<U> {
    pub(super) fn has_bytes(&self) -> bool {
        self.buffer
            .as_ref()
            .is_some_and(|buffer| !buffer.bytes().is_empty())
    }

    /// Returns whether dropping the remainder frees anything, and a seam can report it.
    pub(super) fn may_be_dropped(&self) -> bool {
        self.has_bytes() && self.lost.is_some()
    }

    /// Drops what was not delivered, and notes how much that was on the seam.
    pub(super) fn drop_remainder(&mut self) -> usize {
        let dropped = self.buffer.take().map_or(0, |buffer| buffer.bytes().len());
        if let Some(lost) = &mut self.lost {
            lost.dropped_bytes += dropped as u64;
        }
        dropped
    }
}

impl<U: Decoder> EndedConnection<U> {
    /// Returns what this connection still has for the reader. An error ends it: the rest can't be
    /// decoded.
    pub(super) fn next_item(&mut self) -> Option<Result<U::Item, U::Error>> {
        let buffer = self.buffer.as_mut()?;
        let item = match buffer.decode() {
            Received::Item(item) => Some(item),
            Received::Seam(_) | Received::FinalLoss(_) | Received::End | Received::Nothing => {
                buffer.take_error().map(|error| Err(error.into()))
            }
        };
        if !matches!(item, Some(Ok(_))) {
            self.buffer = None;
        }
        item
    }
}
