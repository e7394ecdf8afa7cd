//! What the application has written and the peer has not acknowledged.

use super::error::ProtocolError;
use super::frame::MAX_PAYLOAD;
use super::ring::Ring;

/// The sending direction of a session. Offsets count the bytes of the stream from 0; the end of
/// the stream takes the offset behind the last byte and is acknowledged like one.
///
/// ```text
///        acknowledged        sent         written
///  released   |   in flight   |   waiting   |   free
/// ------------+---------------+-------------+----------
///             |<--------- `bytes` --------->|
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SendBuffer {
    /// The bytes from `acknowledged` to `written`.
    bytes: Ring,
    capacity: usize,
    /// Everything before it is in the process of the peer.
    acknowledged: u64,
    /// Everything before it was handed to the current connection, or was received on an earlier
    /// one.
    sent: u64,
    /// Everything before it was handed to some connection.
    most_sent: u64,
    /// The offset behind the last byte that was written.
    written: u64,
    /// The application has written everything: the stream ends at `written`.
    is_finished: bool,
    /// The peer permits everything before it.
    limit: u64,
}

impl SendBuffer {
    /// `capacity` is the most that waits for acknowledgments, in bytes; at least 1.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            bytes: Ring::default(),
            capacity: capacity.max(1),
            acknowledged: 0,
            sent: 0,
            most_sent: 0,
            written: 0,
            is_finished: false,
            limit: 0,
        }
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Everything before it was handed to the current connection.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    #[cfg(test)]
    pub(crate) fn most_sent(&self) -> u64 {
        self.most_sent
    }

    /// Returns the offset behind the last byte that was written.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Returns how many bytes were written and are not acknowledged.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Returns how many bytes can be written now.
    pub(crate) fn room(&self) -> usize {
        if self.is_finished {
            return 0;
        }
        self.capacity - self.bytes.len()
    }

    /// Appends as much of `bytes` as there is room for, and returns how much that was.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.room());
        self.bytes.append(&bytes[..n], self.capacity);
        self.written += n as u64;
        self.debug_assert_invariants();
        n
    }

    /// Ends the stream behind what was written.
    pub(crate) fn finish(&mut self) {
        self.is_finished = true;
    }

    /// Returns the end of everything that is to be acknowledged.
    fn end(&self) -> u64 {
        self.written + u64::from(self.is_finished)
    }

    /// Returns how many bytes were sent before and are sent again.
    pub(crate) fn to_replay(&self) -> u64 {
        // The end of the stream is no byte.
        self.most_sent.min(self.written) - self.sent.min(self.written)
    }

    /// Returns whether everything that was written and that the peer permits was handed to the current
    /// connection.
    pub(crate) fn is_flushed(&self) -> bool {
        self.next_data().is_none()
    }

    /// Returns whether the peer has everything, and the end.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_finished && self.acknowledged == self.end()
    }

    /// Returns whether the peer has every byte, and its connection was given the end.
    pub(crate) fn is_end_sent(&self) -> bool {
        self.is_finished && self.acknowledged >= self.written && self.sent == self.end()
    }

    /// Begins a connection on which the peer has received everything before `received`.
    ///
    /// # Errors
    ///
    /// The peer can't have received that.
    pub(crate) fn begin_connection(
        &mut self,
        received: u64,
        limit: u64,
    ) -> Result<(), ProtocolError> {
        self.sent = self.most_sent;
        self.on_ack(received, limit)?;
        self.sent = received;
        self.debug_assert_invariants();
        Ok(())
    }

    /// Releases what is acknowledged.
    ///
    /// # Errors
    ///
    /// The peer takes an acknowledgment back, or acknowledges what it was not sent.
    pub(crate) fn on_ack(&mut self, received: u64, limit: u64) -> Result<(), ProtocolError> {
        if received < self.acknowledged || received > self.sent {
            return Err(ProtocolError::AckOutOfRange {
                acknowledged: self.acknowledged,
                sent: self.sent,
                received,
            });
        }
        let released = received.min(self.written) - self.acknowledged.min(self.written);
        self.bytes
            .consume(usize::try_from(released).unwrap_or(usize::MAX));
        self.acknowledged = received;
        // A permission is never taken back.
        self.limit = self.limit.max(limit);
        self.debug_assert_invariants();
        Ok(())
    }

    /// Returns the offset and the length of the next DATA frame, if one may be sent.
    pub(crate) fn next_data(&self) -> Option<(u64, usize)> {
        let len = self.sendable().min(MAX_PAYLOAD);
        (len > 0).then_some((self.sent, len))
    }

    /// Returns how many bytes were not handed to the connection and may be.
    #[inline]
    pub(crate) fn sendable(&self) -> usize {
        let end = self.written.min(self.limit);
        usize::try_from(end.saturating_sub(self.sent)).unwrap_or(usize::MAX)
    }

    /// Returns whether the end of the stream is to be sent.
    pub(crate) fn is_fin_due(&self) -> bool {
        self.is_finished && self.sent == self.written
    }

    /// Returns `len` bytes to hand to the connection, which are behind the next `skipped` ones.
    #[inline]
    pub(crate) fn unsent(&self, skipped: usize, len: usize) -> (&[u8], &[u8]) {
        let start = usize::try_from(self.sent - self.acknowledged).unwrap_or(usize::MAX) + skipped;
        let (first, second) = self.bytes.as_slices();
        let second = &second[start.saturating_sub(first.len())..];
        let first = &first[start.min(first.len())..];
        let in_first = len.min(first.len());
        (&first[..in_first], &second[..len - in_first])
    }

    /// Records that the connection has taken `n` more bytes.
    pub(crate) fn on_sent(&mut self, n: usize) {
        self.sent += n as u64;
        self.most_sent = self.most_sent.max(self.sent);
        self.debug_assert_invariants();
    }

    /// Records that the connection was given the end of the stream.
    pub(crate) fn on_fin_sent(&mut self) {
        self.on_sent(1);
    }

    /// Frees the memory of a buffer that is empty.
    pub(crate) fn release_memory(&mut self) {
        self.bytes.release_memory();
    }

    /// Returns how much memory it has, in bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.bytes.memory()
    }

    /// Drops everything. The session is lost.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.acknowledged = self.end();
        (self.sent, self.most_sent) = (self.end(), self.end());
    }

    #[inline]
    fn debug_assert_invariants(&self) {
        debug_assert!(self.acknowledged <= self.sent && self.sent <= self.most_sent);
        debug_assert!(self.most_sent <= self.end());
        debug_assert!(self.bytes.len() <= self.capacity);
        let kept = self.written - self.acknowledged.min(self.written);
        debug_assert_eq!(self.bytes.len() as u64, kept);
    }
}
