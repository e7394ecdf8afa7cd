//! Frames: what a connection carries once its handshake is done. `docs/protocol.md` draws them.

use super::error::ProtocolError;

/// The most bytes of the stream that one DATA frame carries, in bytes.
///
/// With its header such a frame stays below the 65,483 bytes of loopback's largest segment. A
/// longer write leaves a second segment of a few bytes (measured: a fifth of the throughput).
pub(crate) const MAX_PAYLOAD: usize = 56 * 1024;

/// The length of a frame's type and length fields, in bytes.
pub(crate) const HEADER: usize = 3;

/// The length of a DATA frame without its payload, in bytes.
pub(crate) const DATA_HEADER: usize = HEADER + OFFSET;

const OFFSET: usize = 8;

/// The longest body of a known frame, without the payload of DATA: that of ACK.
const MAX_BODY: usize = 16;

/// A receiver skips a frame that it does not know if its type has this bit.
const SKIPPABLE: u8 = 0x80;

const DATA: u8 = 0x10;
const ACK: u8 = 0x11;
const FIN: u8 = 0x12;
const PING: u8 = 0x13;
const PONG: u8 = 0x14;
const RESET: u8 = 0x15;
const DONE: u8 = 0x16;

/// A frame, without the payload of DATA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Frame {
    /// `len` bytes of the stream follow, which begin at this offset.
    Data {
        offset: u64,
        len: usize,
    },
    /// Everything before `received` is in the process of the sender of this frame, and the peer
    /// may send everything before `limit`.
    Ack {
        received: u64,
        limit: u64,
    },
    /// The stream ends at this offset.
    Fin {
        offset: u64,
    },
    Ping {
        token: u64,
    },
    Pong {
        token: u64,
    },
    /// The session is lost, for the reason with this code.
    Reset {
        code: u8,
    },
    /// Both directions are complete, and the acceptor knows it.
    Done,
}

impl Frame {
    const fn kind(self) -> u8 {
        match self {
            Self::Data { .. } => DATA,
            Self::Ack { .. } => ACK,
            Self::Fin { .. } => FIN,
            Self::Ping { .. } => PING,
            Self::Pong { .. } => PONG,
            Self::Reset { .. } => RESET,
            Self::Done => DONE,
        }
    }

    /// Appends the frame to `out`, without the payload of DATA.
    pub(crate) fn encode(self, out: &mut Head) {
        match self {
            Self::Data { offset, len } => {
                out.begin(self.kind(), OFFSET + len);
                out.put(&offset.to_be_bytes());
            }
            Self::Ack { received, limit } => {
                out.begin(self.kind(), 16);
                out.put(&received.to_be_bytes());
                out.put(&limit.to_be_bytes());
            }
            Self::Fin { offset: number }
            | Self::Ping { token: number }
            | Self::Pong { token: number } => {
                out.begin(self.kind(), 8);
                out.put(&number.to_be_bytes());
            }
            Self::Reset { code } => {
                out.begin(self.kind(), 1);
                out.put(&[code]);
            }
            Self::Done => out.begin(self.kind(), 0),
        }
    }
}

/// Encoded frames without payload, in a buffer of fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Head {
    bytes: [u8; Self::CAPACITY],
    len: usize,
}

impl Head {
    /// Room for one frame of each kind.
    pub(crate) const CAPACITY: usize = 96;

    pub(crate) const EMPTY: Self = Self {
        bytes: [0; Self::CAPACITY],
        len: 0,
    };

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends bytes. There has to be room.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn begin(&mut self, kind: u8, body: usize) {
        let len = u16::try_from(body).unwrap_or(u16::MAX);
        debug_assert_eq!(usize::from(len), body, "a body fits its length field");
        let [high, low] = len.to_be_bytes();
        self.put(&[kind, high, low]);
    }
}

/// What the bytes of a connection contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Frame(Frame),
    /// The next bytes of the payload of the last [`Frame::Data`].
    Payload(&'a [u8]),
}

/// Splits the bytes of one connection into frames, however they are cut. It keeps no payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Decoder {
    state: DecoderState,
    /// The header and the body of the frame that has begun.
    bytes: [u8; HEADER + MAX_BODY],
    filled: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum DecoderState {
    #[default]
    Header,
    /// `needed` bytes of the body are decoded, the rest of it, up to `len`, is payload or ignored.
    Body {
        needed: usize,
        len: usize,
    },
    Payload {
        rest: usize,
    },
    Skipping {
        rest: usize,
    },
}

impl Decoder {
    /// Returns the next piece of `input` and removes it from there; `None` if more input is needed.
    ///
    /// # Errors
    ///
    /// A frame that is not known and may not be skipped, or one whose length is wrong. The decoder
    /// can't be used afterwards.
    pub(crate) fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Piece<'a>>, ProtocolError> {
        loop {
            match self.state {
                DecoderState::Header => {
                    if !self.fill(input, HEADER) {
                        return Ok(None);
                    }
                    self.state = self.decode_header()?;
                }
                DecoderState::Body { needed, len } => {
                    if !self.fill(input, HEADER + needed) {
                        return Ok(None);
                    }
                    let frame = self.decode_body(len);
                    let rest = len - needed;
                    self.filled = 0;
                    self.state = match frame {
                        Frame::Data { .. } if rest > 0 => DecoderState::Payload { rest },
                        Frame::Data { .. }
                        | Frame::Ack { .. }
                        | Frame::Fin { .. }
                        | Frame::Ping { .. }
                        | Frame::Pong { .. }
                        | Frame::Reset { .. }
                        | Frame::Done => DecoderState::skipping(rest),
                    };
                    return Ok(Some(Piece::Frame(frame)));
                }
                DecoderState::Payload { rest } => {
                    let payload = take(input, rest);
                    if payload.is_empty() {
                        return Ok(None);
                    }
                    let rest = rest - payload.len();
                    self.state = match rest {
                        0 => DecoderState::Header,
                        rest => DecoderState::Payload { rest },
                    };
                    return Ok(Some(Piece::Payload(payload)));
                }
                DecoderState::Skipping { rest } => {
                    let skipped = take(input, rest);
                    if skipped.is_empty() {
                        return Ok(None);
                    }
                    self.state = DecoderState::skipping(rest - skipped.len());
                }
            }
        }
    }

    /// Fills `bytes` up to `len` from the input. Returns false if the input ends before.
    fn fill(&mut self, input: &mut &[u8], len: usize) -> bool {
        let more = take(input, len - self.filled);
        self.bytes[self.filled..][..more.len()].copy_from_slice(more);
        self.filled += more.len();
        self.filled == len
    }

    fn decode_header(&mut self) -> Result<DecoderState, ProtocolError> {
        let [kind, high, low, ..] = self.bytes;
        let len = usize::from(u16::from_be_bytes([high, low]));
        let needed = match kind {
            DATA | FIN | PING | PONG => 8,
            ACK => 16,
            RESET => 1,
            DONE => 0,
            _ if kind & SKIPPABLE != 0 => {
                self.filled = 0;
                return Ok(DecoderState::skipping(len));
            }
            _ => return Err(ProtocolError::UnknownFrame(kind)),
        };
        let is_too_long = kind == DATA && len > OFFSET + MAX_PAYLOAD;
        if len < needed || is_too_long {
            return Err(ProtocolError::FrameLength { kind, len });
        }
        Ok(DecoderState::Body { needed, len })
    }

    /// Decodes a frame whose body is complete, of `len` bytes with its payload.
    fn decode_body(&self, len: usize) -> Frame {
        let (number, second) = (self.number(0), self.number(1));
        match self.bytes[0] {
            DATA => Frame::Data {
                offset: number,
                len: len - OFFSET,
            },
            ACK => Frame::Ack {
                received: number,
                limit: second,
            },
            FIN => Frame::Fin { offset: number },
            PING => Frame::Ping { token: number },
            PONG => Frame::Pong { token: number },
            RESET => Frame::Reset {
                code: self.bytes[HEADER],
            },
            // `decode_header` lets no other kind through.
            _ => Frame::Done,
        }
    }

    /// Returns the number at this place of the body.
    fn number(&self, index: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.bytes[HEADER + 8 * index..][..8]);
        u64::from_be_bytes(bytes)
    }
}

impl DecoderState {
    fn skipping(rest: usize) -> Self {
        match rest {
            0 => Self::Header,
            rest => Self::Skipping { rest },
        }
    }
}

/// Removes up to `most` bytes from the start of `input`.
fn take<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    taken
}
