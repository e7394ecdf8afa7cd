//! One operation over however many connections it takes.
//!
//! A stream of bytes or of messages owns a [`Transfer`], which owns the
//! [`Link`](crate::link::Link). The stream says how to use a connection and what the result means;
//! `Transfer` finds the connection, reports the losses to each half, registers the polling task,
//! and replaces a connection that is lost. No waker is registered outside of it:
//!
//! - [`poll_io`](Transfer::poll_io) and [`poll_op`](Transfer::poll_op) run an operation until it
//!   makes progress, on the current connection or a later one.
//! - [`poll_current`](Transfer::poll_current) does the same on the current connection, and returns
//!   [`NoProgress::Changed`] when that is lost: for a stream of messages, which keeps state for
//!   each connection.
//! - [`poll_shutdown`](Transfer::poll_shutdown) shuts the writing side down.
//! - [`poll_connected`](Transfer::poll_connected) waits for a connection without using it.

mod loss;
mod op;
mod poll;
#[cfg(feature = "codec")]
mod readiness;
mod shutdown;
#[expect(
    clippy::module_inception,
    reason = "the type is named after the folder"
)]
mod transfer;

#[cfg(feature = "codec")]
pub(crate) use op::Exchange;
pub(crate) use op::{Failure, NoProgress, NothingToRead, Op, Operation};
#[cfg(feature = "codec")]
pub(crate) use readiness::Readiness;
pub(crate) use transfer::Transfer;
