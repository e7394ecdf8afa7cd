//! What has arrived from the peer and the application has not read.

use super::error::ProtocolError;
use super::ring::Ring;

/// The receiving direction of a session.
///
/// ```text
///          read        received          limit
///  released  |  unread    |   permitted    |  not permitted
/// -----------+------------+----------------+----------------
///            |<-`bytes`-->|
///            |<---------- window --------->|
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RecvBuffer {
    /// The bytes from `read` to `received`.
    bytes: Ring,
    window: usize,
    /// The application has read everything before it.
    read: u64,
    /// Everything before it has arrived, the end of the stream included.
    received: u64,
    /// Where the stream ends, once that has arrived.
    end: Option<u64>,
    /// What the peer was last told: everything before `told.0` is received, and it may send
    /// everything before `told.1`.
    told: (u64, u64),
    /// The offset of the next byte of the payload of the current frame.
    next: u64,
    /// The application is gone: what arrives is thrown away.
    is_discarding: bool,
    /// Bytes were thrown away.
    has_discarded: bool,
    /// The end of the stream has arrived and is not received, because bytes were thrown away.
    has_refused_end: bool,
    /// Nothing has arrived for a while, so that the memory is freed once there is no byte in it.
    is_idle: bool,
}

impl RecvBuffer {
    /// `window` is the most that waits for the application, in bytes; at least 1.
    pub(crate) fn new(window: usize) -> Self {
        Self {
            bytes: Ring::default(),
            window: window.max(1),
            read: 0,
            received: 0,
            end: None,
            told: (0, 0),
            next: 0,
            is_discarding: false,
            has_discarded: false,
            has_refused_end: false,
            is_idle: false,
        }
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }
    #[cfg(test)]
    pub(crate) fn read_offset(&self) -> u64 {
        self.read
    }

    /// Returns the offset that the peer may not reach.
    pub(crate) fn limit(&self) -> u64 {
        self.read.saturating_add(self.window as u64)
    }

    /// Returns how many bytes wait for the application.
    pub(crate) fn unread(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether the end of the stream has arrived.
    pub(crate) fn has_end(&self) -> bool {
        self.end.is_some()
    }

    /// Returns whether the application has read everything up to the end.
    pub(crate) fn is_at_end(&self) -> bool {
        self.end == Some(self.read)
    }

    /// Checks a DATA frame, whose payload follows.
    ///
    /// # Errors
    ///
    /// Bytes before it are missing, it was not permitted, or the stream has ended before it.
    pub(crate) fn on_data(&mut self, offset: u64, len: usize) -> Result<(), ProtocolError> {
        if offset > self.received {
            let expected = self.received;
            return Err(ProtocolError::Gap { expected, offset });
        }
        let limit = self.limit();
        let end = offset.checked_add(len as u64);
        let Some(end) = end.filter(|end| *end <= limit) else {
            let end = end.unwrap_or(u64::MAX);
            return Err(ProtocolError::LimitExceeded { limit, end });
        };
        if let Some(last) = self.end.filter(|last| end > *last) {
            let (end, offset) = (last, end);
            return Err(ProtocolError::EndMoved { end, offset });
        }
        self.next = offset;
        Ok(())
    }

    /// Appends the next bytes of the payload of the last DATA frame, without those that have
    /// arrived before.
    pub(crate) fn on_payload(&mut self, payload: &[u8]) {
        let known = usize::try_from(self.received - self.next).unwrap_or(usize::MAX);
        self.next += payload.len() as u64;
        if let Some(new) = payload.get(known..) {
            self.is_idle = false;
            self.bytes.append(new, self.window);
            self.received += new.len() as u64;
        }
        self.discard_unread();
    }

    /// Returns memory for the next `rest` bytes of the payload of the last DATA frame, or for the
    /// first of them; `None` if some have arrived before.
    pub(crate) fn space(&mut self, rest: usize) -> Option<&mut [u8]> {
        let is_new = self.next == self.received;
        is_new.then(|| self.bytes.spare(rest, self.window))
    }

    /// Appends the first `n` bytes of [`space`](Self::space).
    pub(crate) fn on_read(&mut self, n: usize) {
        self.is_idle = false;
        self.bytes.extend(n);
        self.next += n as u64;
        self.received += n as u64;
        self.discard_unread();
    }

    /// Throws away what is unread and what arrives from now on, because the application is gone.
    pub(crate) fn discard(&mut self) {
        self.is_discarding = true;
        self.discard_unread();
    }

    fn discard_unread(&mut self) {
        if self.is_discarding && self.unread() > 0 {
            self.has_discarded = true;
            self.consume(self.unread());
        }
        self.debug_assert_invariants();
    }

    /// Returns whether bytes were thrown away, so that the session must not end cleanly.
    pub(crate) fn has_discarded(&self) -> bool {
        self.has_discarded
    }

    /// Returns whether the end of the stream has arrived behind bytes that were thrown away.
    pub(crate) fn has_refused_end(&self) -> bool {
        self.has_refused_end
    }

    /// Records the end of the stream. It is not received if bytes were thrown away, because a peer
    /// whose end is acknowledged takes all of them for delivered.
    ///
    /// # Errors
    ///
    /// Bytes before it are missing, or the stream has ended at another offset.
    pub(crate) fn on_fin(&mut self, offset: u64) -> Result<(), ProtocolError> {
        match self.end {
            Some(end) if end == offset => Ok(()),
            Some(end) => Err(ProtocolError::EndMoved { end, offset }),
            None if offset > self.received => {
                let expected = self.received;
                Err(ProtocolError::Gap { expected, offset })
            }
            None if offset < self.received || offset == u64::MAX => {
                let end = self.received;
                Err(ProtocolError::EndMoved { end, offset })
            }
            None if self.has_discarded => {
                self.has_refused_end = true;
                Ok(())
            }
            None => {
                self.end = Some(offset);
                self.received += 1;
                self.debug_assert_invariants();
                Ok(())
            }
        }
    }

    /// Returns the bytes that wait for the application.
    pub(crate) fn readable(&self) -> (&[u8], &[u8]) {
        self.bytes.as_slices()
    }

    /// Moves bytes to the application, and returns how many. 0 if there are none.
    #[cfg(test)]
    pub(crate) fn read(&mut self, into: &mut [u8]) -> usize {
        let (first, second) = self.readable();
        let in_first = first.len().min(into.len());
        into[..in_first].copy_from_slice(&first[..in_first]);
        let in_second = second.len().min(into.len() - in_first);
        into[in_first..][..in_second].copy_from_slice(&second[..in_second]);
        self.consume(in_first + in_second)
    }

    /// Records that the application has taken the first `n` readable bytes. Returns `n`.
    pub(crate) fn consume(&mut self, n: usize) -> usize {
        self.bytes.consume(n);
        self.read += n as u64;
        if self.is_idle {
            self.bytes.release_memory();
        }
        self.debug_assert_invariants();
        n
    }

    /// Returns how many bytes have arrived that the peer was not told about.
    pub(crate) fn unacknowledged(&self) -> u64 {
        self.received - self.told.0
    }

    /// Returns whether the window has grown by so much that the peer may wait for it: a quarter.
    pub(crate) fn is_window_due(&self) -> bool {
        self.limit() - self.told.1 >= (self.window as u64 / 4).max(1)
    }

    /// Returns whether the window has grown by something that the peer was not told.
    pub(crate) fn has_window_grown(&self) -> bool {
        self.limit() > self.told.1
    }

    /// Records that the peer is told what is received and permitted.
    pub(crate) fn on_told(&mut self) {
        self.told = (self.received, self.limit());
    }

    /// Frees the memory of a buffer that is empty, or once the application has emptied it, unless
    /// something arrives before.
    pub(crate) fn release_memory(&mut self) {
        self.is_idle = true;
        self.bytes.release_memory();
    }

    /// Returns how much memory it has, in bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.bytes.memory()
    }

    #[inline]
    fn debug_assert_invariants(&self) {
        let arrived = self.end.unwrap_or(self.received);
        debug_assert_eq!(self.bytes.len() as u64, arrived - self.read);
        debug_assert!(self.bytes.len() <= self.window);
        debug_assert!(self.told.0 <= self.received && self.told.1 <= self.limit());
        debug_assert!(self.end.is_none_or(|end| self.received == end + 1));
    }
}
