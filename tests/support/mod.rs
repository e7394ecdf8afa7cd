//! Scripted connections, a scripted network, a checker of the waker contract, and real programs.
#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

pub mod example;
mod network;
pub mod numbered;
#[cfg(unix)]
pub mod program;
#[cfg(all(unix, feature = "testing"))]
pub mod resets;
mod task;
pub mod turn;
mod wire;

pub use network::{Network, Outcome};
#[cfg(unix)]
pub use program::Program;
pub use task::Task;
pub use wire::{Fault, Peer, Wire};

use std::io;

use reconnecting_stream::{ConnectionLost, GaveUp};

/// The loss that an error tells of.
pub fn lost(error: &io::Error) -> Option<&ConnectionLost> {
    error.get_ref()?.downcast_ref()
}

/// The giving up that an error tells of.
pub fn gave_up(error: &io::Error) -> Option<&GaveUp> {
    error.get_ref()?.downcast_ref()
}
