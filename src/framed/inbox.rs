//! What has arrived and was not delivered yet.

use std::collections::VecDeque;
use std::io;
use std::task::Waker;

use bytes::BytesMut;
use tokio_util::codec::Decoder;

use super::answers::Origin;
use super::connection::Fresh;
use super::lookout::Lookout;
use super::outbox::Outbox;

/// How much is read ahead to find the end of a connection, for a reader that does not come.
const READ_AHEAD: usize = 64 * 1024;

/// Of so many connections that are gone what they brought is kept for it, and no more is read
/// ahead.
const MOST_PAST: usize = 64;

/// As much as a [`Framed`](tokio_util::codec::Framed) begins with.
const CAPACITY: usize = 8 * 1024;

/// The reading side of one connection: its codec, and bytes that were not decoded yet.
#[derive(Debug)]
pub(super) struct Inbox<U> {
    codec: U,
    buffer: BytesMut,
    progress: Progress,
    origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// There may be a whole message.
    Readable,
    /// There is none.
    Drained,
    /// The codec was called, and never returned.
    Decoding,
}

impl<U> Inbox<U> {
    fn new((codec, mut buffer): Fresh<U>, origin: Origin) -> Self {
        buffer.reserve(CAPACITY.saturating_sub(buffer.capacity()));
        Self {
            codec,
            buffer,
            progress: Progress::Readable,
            origin,
        }
    }

    pub(super) fn codec(&self) -> &U {
        &self.codec
    }

    pub(super) fn codec_mut(&mut self) -> &mut U {
        &mut self.codec
    }

    pub(super) fn buffer(&self) -> &BytesMut {
        &self.buffer
    }

    /// Room for more bytes: the caller fills it.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        self.buffer.reserve(1);
        &mut self.buffer
    }

    /// Bytes have come.
    pub(super) fn filled(&mut self) {
        self.progress = Progress::Readable;
    }
}

impl<U: Decoder> Inbox<U> {
    /// The next whole message.
    #[inline]
    pub(super) fn decode(&mut self) -> Result<Option<U::Item>, U::Error> {
        match self.progress {
            Progress::Drained => Ok(None),
            Progress::Readable => self.decode_with(U::decode),
            Progress::Decoding => Err(poisoned().into()),
        }
    }

    /// The next message, now that no more bytes will come.
    pub(super) fn decode_eof(&mut self) -> Result<Option<U::Item>, U::Error> {
        self.decode_with(U::decode_eof)
    }

    #[inline]
    fn decode_with(
        &mut self,
        decode: impl FnOnce(&mut U, &mut BytesMut) -> Result<Option<U::Item>, U::Error>,
    ) -> Result<Option<U::Item>, U::Error> {
        self.progress = Progress::Decoding;
        let decoded = decode(&mut self.codec, &mut self.buffer);
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

/// The inboxes of the current connection and of those before it.
#[derive(Debug)]
pub(super) struct Inboxes<U> {
    current: Option<Inbox<U>>,
    /// Of connections that are gone, oldest first, with bytes that were not looked at yet. One
    /// is there only if nobody has read since.
    past: VecDeque<Inbox<U>>,
    reader: Reader,
    /// Of the current connection. Made when a sink first looks.
    lookout: Option<Lookout>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// On the current inbox, and none is past.
    UpToDate,
    /// On an inbox that is gone.
    Behind,
}

impl<U> Inboxes<U> {
    pub(super) fn new() -> Self {
        Self {
            current: None,
            past: VecDeque::new(),
            reader: Reader::Behind,
            lookout: None,
        }
    }

    /// Whether the sink's side has found nothing, and nothing has come since.
    #[inline]
    pub(super) fn are_quiet(&self) -> bool {
        self.lookout.as_ref().is_some_and(Lookout::is_quiet)
    }

    /// Somebody may read by hand, or the connection is another one.
    #[inline]
    pub(super) fn disturb(&self) {
        if let Some(lookout) = &self.lookout {
            lookout.disturb();
        }
    }

    /// To be called before a sink looks.
    pub(super) fn make_lookout(&mut self, everyone: impl FnOnce() -> Waker) {
        self.lookout.get_or_insert_with(|| Lookout::new(everyone()));
    }

    /// The inbox of the current connection, and what to look with, if a sink ever looked.
    pub(super) fn reading_side(&mut self) -> Option<(&mut Inbox<U>, Option<&Lookout>)> {
        Some((self.current.as_mut()?, self.lookout.as_ref()))
    }

    pub(super) fn has_lookout(&self) -> bool {
        self.lookout.is_some()
    }

    #[inline]
    pub(super) fn current(&self) -> Option<&Inbox<U>> {
        self.current.as_ref()
    }

    #[inline]
    pub(super) fn current_mut(&mut self) -> Option<&mut Inbox<U>> {
        self.current.as_mut()
    }

    /// Whether little enough waits for the reader.
    pub(super) fn may_read_ahead(&self) -> bool {
        let waiting = self.past.iter().chain(&self.current);
        let bytes: usize = waiting.map(|inbox| inbox.buffer.len()).sum();
        bytes < READ_AHEAD && self.past.len() < MOST_PAST
    }

    /// Whether the reader has to catch up before it reads from the current inbox.
    #[inline]
    pub(super) fn is_behind(&self) -> bool {
        self.reader == Reader::Behind
    }

    /// The reader has caught up.
    pub(super) fn catch_up(&mut self, outbox: &mut Outbox) {
        if let Some(inbox) = &self.current {
            outbox.read_from(inbox.origin);
        }
        self.reader = Reader::UpToDate;
    }

    pub(super) fn begin(&mut self, fresh: Fresh<U>, outbox: &mut Outbox) {
        self.retire(outbox);
        self.disturb();
        self.current = Some(Inbox::new(fresh, outbox.begin()));
    }

    /// The current connection is of no use, and neither is what it has brought.
    pub(super) fn discard(&mut self) {
        self.current = None;
    }

    /// The current connection is gone.
    pub(super) fn retire(&mut self, outbox: &Outbox) {
        self.reader = Reader::Behind;
        let Some(mut retired) = self.current.take() else {
            return;
        };
        if retired.progress != Progress::Drained && !retired.buffer.is_empty() {
            retired.origin = outbox.origin();
            self.past.push_back(retired);
        }
    }
}

impl<U: Decoder> Inboxes<U> {
    /// The next whole message that had arrived before its connection died. Half of one is
    /// dropped.
    pub(super) fn next_past(&mut self, outbox: &mut Outbox) -> Option<Result<U::Item, U::Error>> {
        while let Some(inbox) = self.past.front_mut() {
            outbox.read_from(inbox.origin);
            match inbox.decode() {
                Ok(Some(message)) => return Some(Ok(message)),
                Ok(None) => drop(self.past.pop_front()),
                Err(error) => {
                    self.past.pop_front();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
