//! The protocol of sessions: pure, without a runtime, a clock or randomness.
//!
//! [`Core`](core::Core) is one end of a session. A [`Dialer`](dialer::Dialer) and an
//! [`Acceptor`](acceptor::Acceptor) add what their end knows of the handshake. `docs/protocol.md`
//! describes every byte.

mod acceptor;
mod buffer;
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
mod send;
#[cfg(test)]
mod tests;
