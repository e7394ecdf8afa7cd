//! What has arrived and was not delivered: the bytes of connections, and the seams between them.

use std::collections::VecDeque;
use std::io;

use bytes::BytesMut;
use tokio_util::codec::Decoder;

use super::send_buffer::Given;
use crate::error::ConnectionLost;

/// How far a sender reads ahead on a living connection, to see its end before it writes.
const READ_AHEAD: usize = 64 * 1024;

/// How many seams without items may wait for the reader before the oldest ones become one.
const MAX_SEAMS: usize = 64;

/// The initial capacity, that of [`Framed`](tokio_util::codec::Framed).
const CAPACITY: usize = 8 * 1024;

/// How much may wait for the reader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of all connections together.
    pub(super) bytes: usize,
    /// Connections that are gone.
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

/// What the reader gets next.
#[derive(Debug)]
pub(super) enum Received<T> {
    Item(T),
    /// The connection whose items came before was lost.
    Seam(ConnectionLost),
    /// That connection was lost, and none follows.
    Unreplaced(ConnectionLost),
    /// The stream of messages has ended.
    End,
    /// More bytes are needed.
    Nothing,
}

/// The result of decoding.
type Decoded<U> = Received<Result<<U as Decoder>::Item, <U as Decoder>::Error>>;

/// The reading side of one connection: its codec, and the bytes that were not decoded.
#[derive(Debug)]
pub(super) struct RecvBuffer<U> {
    codec: U,
    bytes: BytesMut,
    progress: Progress,
    /// The connection's stream has ended: no more bytes follow.
    has_ended: bool,
    /// An error of a read that is the reader's and did not end the connection.
    error: Option<io::Error>,
    /// There was another one before the reader took the first. The polling task stops reading.
    is_failing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// There may be a whole message.
    Readable,
    /// There is none.
    Drained,
    /// The stream has ended, and the codec may have more to say.
    Ending,
    /// The codec was asked for the last item. The end has not been told.
    Ended,
    /// The codec was called and has not returned: it panicked.
    Decoding,
}

impl<U> RecvBuffer<U> {
    fn new(codec: U, mut bytes: BytesMut) -> Self {
        bytes.reserve(CAPACITY.saturating_sub(bytes.capacity()));
        Self {
            codec,
            bytes,
            progress: Progress::Readable,
            has_ended: false,
            error: None,
            is_failing: false,
        }
    }

    pub(super) fn codec(&self) -> &U {
        &self.codec
    }

    #[inline]
    pub(super) fn codec_mut(&mut self) -> &mut U {
        &mut self.codec
    }

    pub(super) fn bytes(&self) -> &BytesMut {
        &self.bytes
    }

    /// Returns room for more bytes. Call [`on_read`](Self::on_read) after filling it.
    #[inline]
    pub(super) fn room(&mut self) -> &mut BytesMut {
        self.bytes.reserve(1);
        &mut self.bytes
    }

    /// A read has returned bytes.
    #[inline]
    pub(super) fn on_read(&mut self) {
        self.progress = Progress::Readable;
    }

    /// The connection's stream has ended.
    pub(super) fn on_end(&mut self) {
        self.progress = Progress::Readable;
        self.has_ended = true;
    }

    /// Keeps an error for the reader. Of several, the first one is kept.
    pub(super) fn set_error(&mut self, error: io::Error) {
        self.is_failing = self.error.is_some();
        self.error.get_or_insert(error);
    }

    /// Takes the error that was kept for the reader. It comes after the items.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.is_failing = false;
        self.error.take()
    }

    /// Returns whether a sender may read ahead.
    #[inline]
    fn may_read_ahead(&self) -> bool {
        self.bytes.len() < READ_AHEAD && !self.has_ended && !self.is_failing
    }

    /// Returns whether the reader has got everything.
    fn is_exhausted(&self) -> bool {
        self.progress == Progress::Drained && !self.has_ended && self.error.is_none()
    }
}

impl<U: Decoder> RecvBuffer<U> {
    /// Returns the next item, or the end of the stream.
    #[inline]
    fn decode(&mut self) -> Decoded<U> {
        loop {
            match self.progress {
                Progress::Readable => match self.decode_with(U::decode) {
                    Ok(Some(item)) => return Received::Item(Ok(item)),
                    Ok(None) => {}
                    Err(error) => return Received::Item(Err(error)),
                },
                Progress::Drained => return Received::Nothing,
                Progress::Ending => match self.decode_with(U::decode_eof) {
                    Ok(Some(item)) => {
                        self.progress = Progress::Ending;
                        return Received::Item(Ok(item));
                    }
                    Ok(None) => self.progress = Progress::Ended,
                    Err(error) => {
                        self.progress = Progress::Ended;
                        return Received::Item(Err(error));
                    }
                },
                Progress::Ended => {
                    // The user may go on reading, as from a `Framed`.
                    self.progress = Progress::Drained;
                    self.has_ended = false;
                    return Received::End;
                }
                Progress::Decoding => {
                    self.progress = Progress::Drained;
                    return Received::Item(Err(poisoned().into()));
                }
            }
            if self.progress == Progress::Drained {
                if !self.has_ended {
                    return Received::Nothing;
                }
                self.progress = Progress::Ending;
            }
        }
    }

    #[inline]
    fn decode_with(
        &mut self,
        decode: impl FnOnce(&mut U, &mut BytesMut) -> Result<Option<U::Item>, U::Error>,
    ) -> Result<Option<U::Item>, U::Error> {
        self.progress = Progress::Decoding;
        let decoded = decode(&mut self.codec, &mut self.bytes);
        self.progress = match decoded {
            Ok(Some(_)) => Progress::Readable,
            Ok(None) | Err(_) => Progress::Drained,
        };
        decoded
    }
}

fn poisoned() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the codec panicked")
}

/// A connection that is gone.
#[derive(Debug)]
struct Past<U> {
    buffer: Option<RecvBuffer<U>>,
    /// The seam after its items; `None` if it was closed in order.
    lost: Option<ConnectionLost>,
    /// What the connection was given to send.
    given: Given,
    /// The reader has come to this connection.
    is_entered: bool,
}

/// One sequence for the reader: the items of the connections that are gone, each followed by its
/// seam, then those of the current connection.
#[derive(Debug)]
pub(super) struct RecvQueue<U> {
    past: VecDeque<Past<U>>,
    current: Option<RecvBuffer<U>>,
    /// The reader has not come to the current connection.
    is_behind: bool,
    /// A loss that nothing has replaced. It is told at the end, whatever the seam.
    unreplaced: Option<ConnectionLost>,
    limits: Limits,
}

impl<U> RecvQueue<U> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            past: VecDeque::new(),
            current: None,
            is_behind: true,
            unreplaced: None,
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

    /// Returns whether more may be taken from a connection that is about to be dropped.
    pub(super) fn may_drain(&self) -> bool {
        let bytes = self.current.as_ref().map(|buffer| buffer.bytes.len());
        bytes.is_some_and(|bytes| bytes <= self.limits.bytes)
    }

    /// Returns whether reading ahead has stopped because of errors.
    #[inline]
    pub(super) fn is_failing(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(|buffer| buffer.is_failing)
    }

    /// Lets a sender try again to read ahead: it has to see the end of the connection although no
    /// reader takes the errors.
    pub(super) fn retry_reading(&mut self) {
        if let Some(buffer) = &mut self.current {
            buffer.is_failing = false;
        }
    }

    /// A connection begins, with the bytes that were read beyond its handshake.
    pub(super) fn begin_connection(&mut self, codec: U, bytes: BytesMut) {
        debug_assert!(self.current.is_none());
        self.current = Some(RecvBuffer::new(codec, bytes));
        self.is_behind = true;
        self.enforce_limits();
    }

    /// The current connection is gone: lost, or closed in order. `given` is what it was given to
    /// send.
    pub(super) fn end_connection(&mut self, mut lost: Option<ConnectionLost>, given: Given) {
        let mut buffer = self.current.take();
        if let (Some(lost), Some(buffer)) = (&mut lost, &buffer) {
            let is_cut_off = buffer.is_exhausted() && buffer.bytes.len() > self.limits.bytes;
            if is_cut_off {
                // The rest of this message was not taken from the kernel.
                lost.dropped_bytes += buffer.bytes.len() as u64;
            }
        }
        if lost.is_some() {
            // It was cut: half of a message is dropped, and no `decode_eof` makes one of it.
            if let Some(buffer) = &mut buffer {
                buffer.has_ended = false;
                if matches!(buffer.progress, Progress::Ending | Progress::Ended) {
                    buffer.progress = Progress::Drained;
                }
            }
        }
        let buffer = buffer.filter(|buffer| !buffer.is_exhausted());
        self.past.push_back(Past {
            buffer,
            lost,
            given,
            is_entered: !self.is_behind,
        });
        self.is_behind = true;
        self.enforce_limits();
    }

    /// Drops what the current connection has brought, since it can't be decoded.
    pub(super) fn discard_current(&mut self) {
        if let Some(buffer) = &mut self.current {
            buffer.bytes.clear();
            buffer.progress = Progress::Drained;
            buffer.has_ended = false;
        }
    }

    /// Tells the reader of this loss at the end.
    pub(super) fn set_unreplaced(&mut self, lost: ConnectionLost) {
        self.unreplaced = Some(lost);
        self.is_behind = true;
    }

    /// Drops the oldest remainders until the rest is within the limits.
    fn enforce_limits(&mut self) {
        let remainders = self.past.iter().filter_map(|past| past.buffer.as_ref());
        let mut bytes: usize = remainders
            .chain(&self.current)
            .map(|buffer| buffer.bytes.len())
            .sum();
        for past in &mut self.past {
            if bytes > self.limits.bytes && past.may_be_dropped() {
                bytes -= past.drop_remainder();
            }
        }
        let limit = self.limits.connections.max(1);
        let has_bytes = |past: &&Past<U>| past.has_bytes();
        let mut remainders = self.past.iter().filter(has_bytes).count();
        for past in &mut self.past {
            if remainders > limit && past.may_be_dropped() {
                past.drop_remainder();
                remainders -= 1;
            }
        }
        while self.past.len() > limit + MAX_SEAMS && self.merge_oldest_seams() {}
    }

    /// Merges the oldest seam that has no bytes between it and the next one into that.
    fn merge_oldest_seams(&mut self) -> bool {
        let is_seam = |past: &Past<U>| !past.has_bytes() && past.lost.is_some();
        let mut pairs = self.past.iter().zip(self.past.iter().skip(1));
        let Some(oldest) = pairs.position(|(a, b)| is_seam(a) && is_seam(b)) else {
            return false;
        };
        let merged = self.past.remove(oldest).and_then(|past| past.lost);
        let next = self
            .past
            .get_mut(oldest)
            .and_then(|past| past.lost.as_mut());
        if let (Some(merged), Some(next)) = (merged, next) {
            next.dropped_bytes += merged.dropped_bytes;
        }
        true
    }
}

impl<U> Past<U> {
    fn has_bytes(&self) -> bool {
        self.buffer
            .as_ref()
            .is_some_and(|buffer| !buffer.bytes.is_empty())
    }

    /// Returns whether dropping the remainder frees anything, and a seam can tell of it.
    fn may_be_dropped(&self) -> bool {
        self.has_bytes() && self.lost.is_some()
    }

    /// Drops what was not delivered, and notes how much that was on the seam.
    fn drop_remainder(&mut self) -> usize {
        let dropped = self.buffer.take().map_or(0, |buffer| buffer.bytes.len());
        if let Some(lost) = &mut self.lost {
            lost.dropped_bytes += dropped as u64;
        }
        dropped
    }
}

impl<U: Decoder> Past<U> {
    /// Returns what this connection still has for the reader. An error ends it: the rest can't be
    /// decoded.
    fn next_item(&mut self) -> Option<Result<U::Item, U::Error>> {
        let buffer = self.buffer.as_mut()?;
        let item = match buffer.decode() {
            Received::Item(item) => Some(item),
            Received::Seam(_) | Received::Unreplaced(_) | Received::End | Received::Nothing => {
                buffer.take_error().map(|error| Err(error.into()))
            }
        };
        if !matches!(item, Some(Ok(_))) {
            self.buffer = None;
        }
        item
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

    /// Returns the next item or seam of the connections that are gone. `on_move` is told when the
    /// reader comes to a connection: to what that was given, or to the current one (`None`).
    pub(super) fn next(&mut self, mut on_move: impl FnMut(Option<Given>)) -> Decoded<U> {
        while let Some(past) = self.past.front_mut() {
            if !past.is_entered {
                past.is_entered = true;
                on_move(Some(past.given));
            }
            if let Some(item) = past.next_item() {
                return Received::Item(item);
            }
            if let Some(lost) = self.past.pop_front().and_then(|past| past.lost) {
                return Received::Seam(lost);
            }
        }
        if self.current.is_some() {
            if std::mem::take(&mut self.is_behind) {
                on_move(None);
            }
            return self.next_current();
        }
        match self.unreplaced.take() {
            Some(lost) => Received::Unreplaced(lost),
            None => Received::Nothing,
        }
    }

    /// Returns whether the current connection keeps an error for the reader.
    #[inline]
    pub(super) fn has_error(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(|buffer| buffer.error.is_some())
    }

    /// Takes the error that the current connection keeps for the reader.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.current.as_mut()?.take_error()
    }

    /// Returns whether the reader can get anything without another read.
    pub(super) fn has_more(&self) -> bool {
        let is_undecoded = |buffer: &RecvBuffer<U>| !buffer.is_exhausted();
        !self.past.is_empty()
            || self.unreplaced.is_some()
            || self.current.as_ref().is_some_and(is_undecoded)
    }

    /// Returns whether there is no connection and nothing of an earlier one.
    pub(super) fn is_empty(&self) -> bool {
        self.past.is_empty() && self.current.is_none()
    }
}
