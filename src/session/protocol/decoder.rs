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
                    return Ok(Some(Piece::Frame(self.end_body(needed, len))));
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

    /// Returns the frame whose body is complete, and goes to what follows it.
    fn end_body(&mut self, needed: usize, len: usize) -> Frame {
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
        frame
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
