//! A rig that drives the public API through random histories, and checks every result against the
//! contract alone.
//!
//! The connections are scripted and behave as a socket of Tokio does: one waker for each
//! direction, woken once by an event, and forgotten when the connection is dropped. Tasks are
//! polled by hand, and only after they were woken, so a lost wake-up shows as a task that waits
//! although the contract says that it can continue.
#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

mod actor;
pub mod bytes;
pub mod classify;
pub mod codec;
pub mod connection;
pub mod connector;
pub mod harness;
pub mod hook;
mod kernel;
pub mod messages;
mod notes;
mod observer;
pub mod peer;
pub mod random;
pub mod reading;
pub mod run;
pub mod sending;
pub mod settings;
pub mod socket;
pub mod task;
pub mod threads;
pub mod unread;

pub use random::Random;
pub use task::Task;
