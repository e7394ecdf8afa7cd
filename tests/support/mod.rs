//! Scripted connections, a scripted network, and a checker of the waker contract.
#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

pub mod example;
mod network;
mod soon;
mod takes_nothing;
mod task;
mod wire;

pub use network::{Network, Outcome};
pub use soon::soon;
pub use takes_nothing::TakesNothing;
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
