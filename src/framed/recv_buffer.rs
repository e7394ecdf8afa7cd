//! The reading side of one connection.

use std::io;

use bytes::BytesMut;
use tokio_util::codec::Decoder;

use crate::error::ConnectionLost;

/// How far a sender reads ahead on a living connection, to see its end before it writes.
pub(super) const READ_AHEAD: usize = 64 * 1024;

/// The initial capacity, that of [`Framed`](tokio_util::codec::Framed).
const CAPACITY: usize = 8 * 1024;

/// What the reader gets next.
#[derive(Debug)]
pub(super) enum Received<T> {
    Item(T),
    /// The connection whose items came before was lost.
    Seam(ConnectionLost),
    /// That connection was lost, and none follows.
    FinalLoss(ConnectionLost),
    /// The stream of messages has ended.
    End,
    /// More bytes are needed.
    Nothing,
}

/// The result of decoding.
pub(super) type Decoded<U> = Received<Result<<U as Decoder>::Item, <U as Decoder>::Error>>;

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
    /// The stream has ended, and the codec may have more items.
    Ending,
    /// The codec was asked for the last item. The reader has not got the end.
    Ended,
    /// The codec was called and has not returned: it panicked.
    Decoding,
}

impl<U> RecvBuffer<U> {
    pub(super) fn new(codec: U, mut bytes: BytesMut) -> Self {
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

    /// Records that a read returned bytes.
    #[inline]
    pub(super) fn on_read(&mut self) {
        // The reader has not got the error of the codec's panic.
        if self.progress != Progress::Decoding {
            self.progress = Progress::Readable;
        }
    }

    /// Records the end of the connection's stream.
    pub(super) fn on_end(&mut self) {
        self.on_read();
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
    pub(super) fn may_read_ahead(&self) -> bool {
        self.bytes.len() < READ_AHEAD && !self.has_ended && !self.is_failing
    }

    /// Returns whether the stream has ended and the codec was asked for the last item.
    pub(super) fn is_at_end(&self) -> bool {
        self.progress == Progress::Ended
    }

    /// Returns whether the reader has got everything.
    pub(super) fn is_exhausted(&self) -> bool {
        let is_drained = self.progress == Progress::Drained;
        debug_assert!(
            !(is_drained && self.has_ended),
            "the codec may have more items"
        );
        is_drained && self.error.is_none()
    }
}

impl<U: Decoder> RecvBuffer<U> {
    /// Returns the next item, or the end of the stream.
    #[inline]
    pub(super) fn decode(&mut self) -> Decoded<U> {
        loop {
            match self.progress {
                Progress::Readable => match self.decode_with(U::decode) {
                    Ok(Some(item)) => return Received::Item(Ok(item)),
                    Ok(None) => {}
                    Err(error) => return Received::Item(Err(error)),
                },
                Progress::Drained => return Received::Nothing,
                Progress::Ending => match self.decode_last() {
                    Some(item) => return Received::Item(item),
                    None => self.progress = Progress::Ended,
                },
                Progress::Ended => {
                    // The user may continue to read, as from a `Framed`.
                    self.progress = Progress::Drained;
                    self.has_ended = false;
                    return Received::End;
                }
                Progress::Decoding => {
                    self.discard();
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

    /// Returns the next item after the end of the stream, or the error of one that is incomplete.
    fn decode_last(&mut self) -> Option<Result<U::Item, U::Error>> {
        let item = self.decode_with(U::decode_eof).transpose()?;
        self.progress = if item.is_ok() {
            Progress::Ending
        } else {
            // Nothing of the bytes can be decoded: the next poll would fail again.
            self.bytes.clear();
            Progress::Ended
        };
        Some(item)
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

impl<U> RecvBuffer<U> {
    pub(super) fn has_error(&self) -> bool {
        self.error.is_some()
    }

    pub(super) fn is_failing(&self) -> bool {
        self.is_failing
    }

    /// Lets a sender try again to read ahead.
    pub(super) fn retry_reading(&mut self) {
        self.is_failing = false;
    }

    /// Records that the connection was cut: half of a message is dropped, and `decode_eof` is not
    /// called for it.
    pub(super) fn cut(&mut self) {
        self.has_ended = false;
        if matches!(self.progress, Progress::Ending | Progress::Ended) {
            self.progress = Progress::Drained;
        }
    }

    /// Drops the bytes, since they can't be decoded.
    pub(super) fn discard(&mut self) {
        self.bytes.clear();
        self.progress = Progress::Drained;
        self.has_ended = false;
    }
}
