//! What sessions keep: idle, with full windows, after many have come and gone, and through a restart of
//! the network between them.
//!
//! By itself, since the descriptors of a process are counted. `SESSIONS` in the environment sets how
//! many sessions come and go, and how many live through the restart.
#![cfg(target_os = "linux")]

#[path = "session_scale/memory.rs"]
mod memory;
#[path = "session_scale/network.rs"]
mod network;
#[path = "session_scale/restart.rs"]
mod restart;

/// Returns `SESSIONS` of the environment, or this default.
fn sessions(default: usize) -> usize {
    let given = std::env::var("SESSIONS").ok();
    given.map_or(default, |number| number.parse().unwrap())
}
