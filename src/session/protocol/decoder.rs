//! Splits the bytes of a connection into frames.

use super::error::ProtocolError;
use super::frame::{
    ACK, DATA, DONE, FIN, Frame, HEADER, MAX_BODY, MAX_PAYLOAD, OFFSET, PING, PONG,
};
use super::frame::{RESET, SKIPPABLE};

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
    /// The first `filled` bytes of a frame that the input has cut, and zeros.
    bytes: [u8; HEADER + MAX_BODY],
    filled: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum DecoderState {
    /// The header of a frame is next, and those of its fields that are decoded.
    #[default]
    Start,
    Payload {
        rest: usize,
    },
    Skipping {
        rest: usize,
    },
}

/// What the first bytes of a frame say.
enum FrameStart {
    /// So many bytes are needed.
    Incomplete { needed: usize },
    /// The first `taken` bytes are decoded, and the body has `rest` more. There is no frame if its
    /// type is not known and it is skipped.
    Whole {
        frame: Option<Frame>,
        taken: usize,
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
    #[inline(always)] // A quarter of the instructions of `Core::handle_input` otherwise.
    pub(crate) fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Piece<'a>>, ProtocolError> {
        while !input.is_empty() {
            match self.state {
                DecoderState::Start => {
                    if let Some(frame) = self.next_frame(input)? {
                        return Ok(Some(Piece::Frame(frame)));
                    }
                }
                DecoderState::Payload { rest } => {
                    let payload = take(input, rest);
                    let rest = rest - payload.len();
                    self.state = DecoderState::Payload { rest }.or_start();
                    return Ok(Some(Piece::Payload(payload)));
                }
                DecoderState::Skipping { rest } => {
                    let rest = rest - take(input, rest).len();
                    self.state = DecoderState::Skipping { rest }.or_start();
                }
            }
        }
        Ok(None)
    }

    /// Returns how much of the payload of the last [`Frame::Data`] follows, in bytes.
    pub(crate) fn payload_rest(&self) -> usize {
        match self.state {
            DecoderState::Payload { rest } => rest,
            DecoderState::Start | DecoderState::Skipping { .. } => 0,
        }
    }

    /// Skips the next `n` bytes of a payload, which were not decoded.
    pub(crate) fn on_payload(&mut self, n: usize) {
        let rest = self.payload_rest() - n;
        self.state = DecoderState::Payload { rest }.or_start();
    }

    /// Returns the frame that begins; `None` if the input has cut it, or if it is skipped.
    #[inline(always)]
    fn next_frame(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, ProtocolError> {
        if self.filled == 0 {
            // As a rule the input has not cut the frame, and nothing of it is copied.
            if let FrameStart::Whole { frame, taken, rest } = FrameStart::decode(input)? {
                *input = &input[taken..];
                self.state = DecoderState::behind(frame, rest);
                return Ok(frame);
            }
        }
        self.next_cut_frame(input)
    }

    /// Like `next_frame`, if the input has cut the frame.
    #[cold]
    fn next_cut_frame(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, ProtocolError> {
        loop {
            match FrameStart::decode(&self.bytes[..self.filled])? {
                FrameStart::Incomplete { needed } => {
                    if !self.fill(input, needed) {
                        return Ok(None);
                    }
                }
                FrameStart::Whole { frame, rest, .. } => {
                    *self = Self::default();
                    self.state = DecoderState::behind(frame, rest);
                    return Ok(frame);
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
}

impl DecoderState {
    /// Returns the state behind the first bytes of this frame, whose body has `rest` more.
    fn behind(frame: Option<Frame>, rest: usize) -> Self {
        match frame {
            Some(Frame::Data { .. }) => Self::Payload { rest }.or_start(),
            Some(_) | None => Self::Skipping { rest }.or_start(),
        }
    }

    /// Returns the next state if nothing is left of this one.
    fn or_start(self) -> Self {
        match self {
            Self::Start | Self::Payload { rest: 0 } | Self::Skipping { rest: 0 } => Self::Start,
            Self::Payload { .. } | Self::Skipping { .. } => self,
        }
    }
}

impl FrameStart {
    /// Decodes the first bytes of a frame: its header, and then its fields.
    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let Some((&[kind, high, low], body)) = bytes.split_first_chunk::<HEADER>() else {
            return Ok(Self::Incomplete { needed: HEADER });
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let Some(fields) = Self::check(kind, len)? else {
            return Ok(Self::Whole {
                frame: None,
                taken: HEADER,
                rest: len,
            });
        };
        let needed = HEADER + fields;
        if body.len() < fields {
            return Ok(Self::Incomplete { needed });
        }
        Ok(Self::Whole {
            frame: Some(decode_fields(kind, len, body)),
            taken: needed,
            rest: len - fields,
        })
    }

    /// Checks a header. Returns the length of the fields; `None` if the frame is skipped.
    fn check(kind: u8, len: usize) -> Result<Option<usize>, ProtocolError> {
        let fields = match kind {
            DATA | FIN | PING | PONG => 8,
            ACK => 16,
            RESET => 1,
            DONE => 0,
            _ if kind & SKIPPABLE != 0 => return Ok(None),
            _ => return Err(ProtocolError::UnknownFrame(kind)),
        };
        let is_too_long = kind == DATA && len > OFFSET + MAX_PAYLOAD;
        if len < fields || is_too_long {
            return Err(ProtocolError::FrameLength { kind, len });
        }
        Ok(Some(fields))
    }
}

/// Decodes the fields of a frame of this type, whose body has `len` bytes.
fn decode_fields(kind: u8, len: usize, body: &[u8]) -> Frame {
    let number = number(body);
    match kind {
        DATA => Frame::Data {
            offset: number,
            len: len - OFFSET,
        },
        ACK => Frame::Ack {
            received: number,
            limit: self::number(&body[8..]),
        },
        FIN => Frame::Fin { offset: number },
        PING => Frame::Ping { token: number },
        PONG => Frame::Pong { token: number },
        RESET => Frame::Reset { code: body[0] },
        // `check` lets no other type through.
        _ => Frame::Done,
    }
}

/// Returns the number at the start of a body; 0 if it has none.
fn number(body: &[u8]) -> u64 {
    body.first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Removes up to `most` bytes from the start of `input`.
fn take<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    taken
}
