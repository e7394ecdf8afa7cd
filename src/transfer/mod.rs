//! One operation over however many connections it takes.
//!
//! A face (bytes, messages) owns a [`Transfer`], which owns the [`Link`](crate::link::Link). The
//! face says what to do with a connection and what that came to; `Transfer` finds the connection,
//! tells each half of the losses, registers the polling task, and replaces a connection that is
//! lost. A face registers no wakers of its own:
//!
//! - [`poll_io`](Transfer::poll_io) and [`poll_op`](Transfer::poll_op) run an operation until it
//!   makes progress, on the current connection or a later one.
//! - [`poll_once`](Transfer::poll_once) does the same on one connection, and returns
//!   [`NoProgress::Changed`] when that is lost: for a face that keeps state for each connection.
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
pub(crate) use op::{Exchange, NothingToTake};
pub(crate) use op::{Failure, NoProgress, Op, Operation};
#[cfg(feature = "codec")]
pub(crate) use readiness::Readiness;
pub(crate) use transfer::Transfer;
