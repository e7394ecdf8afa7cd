//! Frames that tell their number and show when they are torn, and their codec.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;

use bytes::{Buf, BufMut, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::harness::Rig;

/// The kind, the length of the body, the number.
pub const HEADER: usize = 7;

pub const DATA: u8 = 1;
pub const TRANSIENT: u8 = 2;
pub const HELLO: u8 = 3;
pub const ITEM: u8 = 11;
pub const BATCH: u8 = 12;
pub const POISON: u8 = 13;

/// The index of the first item that only a real end of the stream brings.
pub const FIRST_TRAILER: u32 = 1 << 30;
pub const NO_REPLY: u32 = u32::MAX;

/// What a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    Data {
        id: u32,
        len: u16,
    },
    Transient {
        id: u32,
        len: u16,
    },
    Hello {
        id: u32,
    },
    /// The encoder writes a part, and fails.
    Refused,
    /// The encoder writes a part, and panics.
    Panics,
}

/// What a client receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    pub connection: u32,
    pub index: u32,
    /// The message that it replies to.
    pub reply: Option<u32>,
}

#[derive(Debug)]
pub enum CodecError {
    Io(io::Error),
    Poison,
    /// One decoder got the bytes of two connections, or bytes that are no frame.
    Garbage(String),
    Refused,
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Error for CodecError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Poison | Self::Garbage(_) | Self::Refused => None,
        }
    }
}

impl From<io::Error> for CodecError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[derive(Clone)]
pub struct Codec {
    /// Is told what is encoded: a message is encoded when it is accepted.
    rig: Arc<Rig>,
    connection: Option<u32>,
    held: VecDeque<Item>,
    trailers: u32,
    trailers_left: u32,
}

impl Codec {
    /// At a real end of the stream the decoder has so many items more.
    pub fn new(rig: Arc<Rig>, trailers: u32) -> Self {
        Self {
            rig,
            connection: None,
            held: VecDeque::new(),
            trailers,
            trailers_left: trailers,
        }
    }

    fn take_frame(&mut self, kind: u8, first: u32, mut body: &[u8]) -> Result<(), CodecError> {
        let garbage = |why: &str| Err(CodecError::Garbage(why.to_owned()));
        if kind == POISON {
            return Err(CodecError::Poison);
        }
        if body.len() < 9 || !matches!(kind, ITEM | BATCH) {
            return garbage("no frame begins here");
        }
        let (connection, reply, count) = (body.get_u32(), body.get_u32(), body.get_u8());
        if *self.connection.get_or_insert(connection) != connection {
            return garbage("one decoder for two connections");
        }
        if !body.iter().all(|byte| *byte == filler(first)) {
            return garbage("a torn frame");
        }
        let reply = (reply != NO_REPLY).then_some(reply);
        self.held.extend((0..u32::from(count)).map(|n| Item {
            connection,
            index: first + n,
            reply,
        }));
        Ok(())
    }
}

const fn filler(id: u32) -> u8 {
    id.to_le_bytes()[0] ^ 0x5A
}

impl Decoder for Codec {
    type Item = Item;
    type Error = CodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Item>, CodecError> {
        if let Some(item) = self.held.pop_front() {
            return Ok(Some(item));
        }
        let Some((kind, id, len)) = header(src) else {
            return Ok(None);
        };
        if src.len() < HEADER + len {
            return Ok(None);
        }
        let frame = src.split_to(HEADER + len);
        self.take_frame(kind, id, &frame[HEADER..])?;
        Ok(self.held.pop_front())
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Item>, CodecError> {
        if let Some(item) = self.decode(src)? {
            return Ok(Some(item));
        }
        if !src.is_empty() {
            return Err(io::Error::other("bytes remaining on stream").into());
        }
        if self.trailers_left == 0 {
            return Ok(None);
        }
        self.trailers_left -= 1;
        let index = FIRST_TRAILER + self.trailers - self.trailers_left - 1;
        Ok(Some(Item {
            connection: self.connection.unwrap_or(0),
            index,
            reply: None,
        }))
    }
}

impl Encoder<Message> for Codec {
    type Error = CodecError;

    fn encode(&mut self, message: Message, dst: &mut BytesMut) -> Result<(), CodecError> {
        self.rig.harness().accept_message(message);
        match message {
            Message::Data { id, len } => put_frame(dst, DATA, id, len),
            Message::Transient { id, len } => put_frame(dst, TRANSIENT, id, len),
            Message::Hello { id } => put_frame(dst, HELLO, id, 5),
            Message::Refused => {
                dst.put_bytes(0xEE, 5);
                return Err(CodecError::Refused);
            }
            Message::Panics => {
                dst.put_bytes(0xEE, 5);
                resume_unwind(Box::new("scripted"));
            }
        }
        Ok(())
    }
}

fn put_frame(dst: &mut BytesMut, kind: u8, id: u32, len: u16) {
    dst.put_u8(kind);
    dst.put_u16(len);
    dst.put_u32(id);
    dst.put_bytes(filler(id), usize::from(len));
}

/// Returns the bytes that a message becomes.
pub const fn encoded_len(len: u16) -> usize {
    HEADER + len as usize
}

/// Returns the kind, the number and the length of the body.
pub fn header(mut bytes: &[u8]) -> Option<(u8, u32, usize)> {
    if bytes.len() < HEADER {
        return None;
    }
    let (kind, len) = (bytes.get_u8(), bytes.get_u16());
    Some((kind, bytes.get_u32(), usize::from(len)))
}

/// Checks the body of a frame that a client sent.
pub fn is_whole(id: u32, body: &[u8]) -> bool {
    body.iter().all(|byte| *byte == filler(id))
}

/// Returns a frame of items that a peer sends.
pub fn items(connection: u32, first: u32, count: u8, reply: u32, fill: usize) -> Vec<u8> {
    let len = 9 + fill;
    let mut frame = Vec::with_capacity(HEADER + len);
    frame.put_u8(if count == 1 { ITEM } else { BATCH });
    frame.put_u16(u16::try_from(len).unwrap());
    frame.put_u32(first);
    frame.put_u32(connection);
    frame.put_u32(reply);
    frame.put_u8(count);
    frame.put_bytes(filler(first), fill);
    frame
}

/// Returns a frame that no decoder can read.
pub fn poison() -> Vec<u8> {
    let mut frame = Vec::new();
    frame.put_u8(POISON);
    frame.put_u16(2);
    frame.put_u32(0);
    frame.put_u16(0);
    frame
}
