//! A small codec with everything that a decoder may do.

use std::collections::VecDeque;
use std::io;

use bytes::{Buf, BytesMut};
use tokio_util::codec::Decoder;

/// A message that can't be decoded.
pub(super) const BAD: u8 = 0xff;

/// A message at which the decoder panics.
pub(super) const PANIC: u8 = 0xfe;

/// A frame is a length and that many items of one byte. The decoder takes a frame whole and holds
/// its items inside itself.
#[derive(Debug, Default)]
pub(super) struct Batches {
    held: VecDeque<u8>,
    at_eof: AtEof,
    /// It was asked for the end, and has had more to say.
    is_ending: bool,
}

/// What the decoder has to say at the end of its connection's stream.
#[derive(Clone, Debug, Default)]
pub(super) struct AtEof {
    pub(super) items: VecDeque<u8>,
    pub(super) fails: bool,
}

impl Batches {
    pub(super) fn with_eof(items: &[u8], fails: bool) -> Self {
        let at_eof = AtEof {
            items: items.iter().copied().collect(),
            fails,
        };
        Self {
            at_eof,
            ..Self::default()
        }
    }
}

/// Returns the frame of these items.
pub(super) fn frame(items: &[u8]) -> Vec<u8> {
    let len = u8::try_from(items.len()).expect("a short frame");
    std::iter::once(len).chain(items.iter().copied()).collect()
}

impl Batches {
    fn next_item(&mut self, bytes: &mut BytesMut) -> io::Result<Option<u8>> {
        if self.held.is_empty() {
            match bytes.first() {
                Some(&len) if bytes.len() > usize::from(len) => {
                    self.held.extend(&bytes[1..=usize::from(len)]);
                    bytes.advance(1 + usize::from(len));
                }
                Some(_) | None => return Ok(None),
            }
        }
        match self.held.pop_front() {
            Some(BAD) => Err(io::Error::other("bad")),
            // Without a message on the standard error.
            Some(PANIC) => std::panic::resume_unwind(Box::new("a panic of the decoder")),
            item => Ok(item),
        }
    }
}

impl Decoder for Batches {
    type Item = u8;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<u8>> {
        assert!(!self.is_ending, "no message follows the end");
        self.next_item(bytes)
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> io::Result<Option<u8>> {
        let item = self.next_item(bytes)?;
        let item = item.or_else(|| self.at_eof.items.pop_front());
        self.is_ending = item.is_some();
        if item.is_some() {
            return Ok(item);
        }
        if std::mem::take(&mut self.at_eof.fails) {
            return Err(io::Error::other("the end is torn"));
        }
        Ok(None)
    }
}
