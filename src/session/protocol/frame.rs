//! Frames: what a connection carries once its handshake is done. `docs/protocol.md` draws them.

use std::hash::{Hash, Hasher};

/// The most bytes of the stream that one DATA frame carries, in bytes.
///
/// With its header, the frames that go before it, and the records of TLS around them, it fills the
/// 65,483 bytes of loopback's largest segment. A longer write leaves a second segment of a few bytes,
/// which takes a fifth of the throughput. With 56 KiB there are more segments, which take 8 %
/// (measured).
pub(crate) const MAX_PAYLOAD: usize = 65_280;

/// The length of a frame's type and length fields, in bytes.
pub(crate) const HEADER: usize = 3;

/// The length of a DATA frame without its payload, in bytes.
#[cfg(test)]
pub(crate) const DATA_HEADER: usize = HEADER + OFFSET;

pub(super) const OFFSET: usize = 8;

/// The longest body of a known frame, without the payload of DATA: that of ACK.
pub(super) const MAX_BODY: usize = 16;

/// A receiver skips a frame that it does not know if its type has this bit.
pub(super) const SKIPPABLE: u8 = 0x80;

pub(super) const DATA: u8 = 0x10;
pub(super) const ACK: u8 = 0x11;
pub(super) const FIN: u8 = 0x12;
pub(super) const PING: u8 = 0x13;
pub(super) const PONG: u8 = 0x14;
pub(super) const RESET: u8 = 0x15;
pub(super) const DONE: u8 = 0x16;

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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// The frames, and then whatever was there before.
    bytes: [u8; Self::CAPACITY],
    len: usize,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Head {}

impl Hash for Head {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl Head {
    /// Room for a WELCOME, the longest answer of a handshake, and ACK, PONG, PING and DATA behind it.
    pub(crate) const CAPACITY: usize = 120;

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

    pub(crate) fn clear(&mut self) {
        self.len = 0;
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
