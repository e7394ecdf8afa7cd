//! The state machine over time, and the wakers of those who wait for it.
//!
//! A [`Link`] is the only owner of a connection, of the timer of a backoff and of a running
//! attempt. It knows nothing about bytes or messages: a face ([`stream`](crate::stream)) takes
//! the connection from [`live`](Link::live), does its own I/O, and comes back with a
//! [`lose`](Link::lose) or a [`poll_wait`](Link::poll_wait).

mod access;
mod begin;
mod clock;
mod control;
mod core;
mod dial;
mod event;
mod half;
mod handle;
mod idle;
mod machine;
mod operation;
mod pause;
mod report;
mod state;
mod transitions;
mod wakers;

pub use event::Event;
pub(crate) use half::{Half, Stop};
pub use handle::Handle;
pub(crate) use machine::{Halt, Link};
pub(crate) use operation::Operation;
pub use state::State;
pub(crate) use wakers::Role;

pub(crate) use self::core::Core;
pub(crate) use report::Observer;
