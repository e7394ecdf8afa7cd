//! What ends a connection, and what ends a session.

use std::fmt;

/// The peer has broken a rule of the protocol. It ends the connection, not the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ProtocolError {
    /// A frame of this type is not known and may not be skipped.
    UnknownFrame(u8),
    /// A frame of this type can't have this length.
    FrameLength { kind: u8, len: usize },
    /// The connection does not begin with a message of this protocol.
    NotThisProtocol,
    /// The connection begins with a message of an incompatible version of this protocol.
    OtherVersion,
    /// A handshake message of this type has the wrong length, or a field of it is out of range.
    MalformedHandshake(u8),
    /// Bytes before this frame's offset are missing.
    Gap { expected: u64, offset: u64 },
    /// The frame goes beyond what was permitted.
    LimitExceeded { limit: u64, end: u64 },
    /// The stream ends at `end`, and the frame says something else.
    EndMoved { end: u64, offset: u64 },
    /// The peer acknowledges what it was not sent, or takes an acknowledgment back.
    AckOutOfRange {
        acknowledged: u64,
        sent: u64,
        received: u64,
    },
    /// The peer says that the session is complete, and it is not.
    NotComplete,
    /// The bytes are from a connection that was replaced.
    StaleConnection,
    /// The peer does not know the secret of the session.
    BadProof,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFrame(kind) => write!(f, "unknown frame type {kind:#04x}"),
            Self::FrameLength { kind, len } => {
                write!(f, "a frame of type {kind:#04x} can't have {len} bytes")
            }
            Self::NotThisProtocol => f.write_str("the peer does not speak the session protocol"),
            Self::OtherVersion => f.write_str("the peer speaks another version of the protocol"),
            Self::MalformedHandshake(kind) => {
                write!(f, "malformed handshake message of type {kind:#04x}")
            }
            Self::Gap { expected, offset } => {
                write!(f, "expected data at offset {expected}, got offset {offset}")
            }
            Self::LimitExceeded { limit, end } => {
                write!(f, "data up to offset {end}, but the limit is {limit}")
            }
            Self::EndMoved { end, offset } => {
                write!(f, "offset {offset}, but the stream ends at {end}")
            }
            Self::AckOutOfRange {
                acknowledged,
                sent,
                received,
            } => write!(
                f,
                "acknowledgment of {received}, expected {acknowledged} to {sent}"
            ),
            Self::NotComplete => f.write_str("the peer ended a session that is not complete"),
            Self::StaleConnection => f.write_str("the connection was replaced by a later one"),
            Self::BadProof => f.write_str("the peer does not know the secret of the session"),
        }
    }
}

impl std::error::Error for ProtocolError {}

/// The reason for which a session is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The session was without a connection for longer than its time to live, or the policy of the
    /// client gave up.
    Expired,
    /// The server does not know the session, or refuses it. It may have been restarted, or a load
    /// balancer has sent the client to another server.
    Rejected,
    /// One of the two ends was dropped before the session was complete: without a shutdown, or after it
    /// and before it had read to the end.
    PeerReset,
    /// The offsets of the two ends do not fit together.
    Desynchronized,
    /// A later connection of the same client has resumed the session.
    Superseded,
    /// The server ended the session to stay within its limits.
    Evicted,
    /// One of the two ends was closed, or the server shuts down.
    Closed,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "it was without a connection for too long",
            Self::Rejected => "the server does not know or refuses it",
            Self::PeerReset => "one end was dropped before the session was complete",
            Self::Desynchronized => "the offsets of the two ends do not fit together",
            Self::Superseded => "a later connection has resumed it",
            Self::Evicted => "the server ended it to stay within its limits",
            Self::Closed => "it was closed",
        })
    }
}

impl Reason {
    pub(crate) const ALL: [Self; 7] = [
        Self::Expired,
        Self::Rejected,
        Self::PeerReset,
        Self::Desynchronized,
        Self::Superseded,
        Self::Evicted,
        Self::Closed,
    ];

    /// Returns the code of the reason in REJECT and RESET.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Expired => 1,
            Self::Rejected => 2,
            Self::PeerReset => 3,
            Self::Desynchronized => 4,
            Self::Superseded => 5,
            Self::Evicted => 6,
            Self::Closed => 7,
        }
    }

    /// Returns the reason with this code. One that is not known is a rejection.
    pub(crate) fn from_code(code: u8) -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(|reason| reason.code() == code)
            .unwrap_or(Self::Rejected)
    }
}
