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
mod subscribers;
mod support;
#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../support/task.rs"]
mod task;
#[cfg(feature = "rustls")]
#[path = "../support/tls.rs"]
mod tls;
#[cfg(feature = "codec")]
mod transports;
mod unconfirmed;
mod waking;
