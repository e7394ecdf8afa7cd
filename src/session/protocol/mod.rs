//! The protocol of sessions: pure, without a runtime, a clock or randomness.
//!
//! [`Core`](core::Core) is one end of a session. A [`Dialer`](dialer::Dialer) and an
//! [`Acceptor`](acceptor::Acceptor) add what their end knows of the handshake. `docs/protocol.md`
//! describes every byte.

mod acceptor;
mod behind;
mod core;
mod decoder;
mod dialer;
mod error;
mod frame;
mod handshake;
mod handshake_decode;
mod options;
mod proof;
mod receive;
mod ring;
mod send;
#[cfg(test)]
mod tests;

pub(super) use acceptor::{Acceptor, Tombstone, reject_unknown};
pub(super) use behind::{Behind, FRAMES as BEHIND};
pub(super) use core::{Core, Outcome, Transmit};
pub(super) use dialer::{Answered, Dialer};
pub(super) use error::ProtocolError;
pub use error::Reason;
pub(super) use frame::MAX_PAYLOAD;
pub(super) use handshake::{Handshake, Hello, MAX_METADATA, Refusal, Reject, Resume, Resumed};
pub(super) use options::Options;
pub(super) use proof::Secret;
pub use proof::SessionId;
