//! Sessions: `ResumableStream`, `ResumableListener`, `Sessions`.
#![cfg(all(feature = "net", feature = "session"))]

mod blocked;
mod endings;
mod events;
mod faults;
mod halves;
mod limits;
mod listener;
mod losses;
mod memory;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "serde")]
mod options;
mod panics;
mod reads;
mod support;
#[cfg(feature = "rustls")]
#[path = "../support/tls.rs"]
mod tls;
#[cfg(feature = "codec")]
mod transports;
mod unconfirmed;
mod waking;
