//! A transport for Tokio that outlives its connections.

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

mod connect;
mod error;
mod link;
mod policy;
mod stream;

pub use connect::{Attempt, Connect, ConnectFn, connect_fn};
pub use error::{ConnectionLost, GaveUp, Permanent};
pub use link::{Event, Handle, State};
pub use policy::{Backoff, Eof, Jitter, Phase, Policy, Verdict};
pub use stream::{Builder, ReconnectingStream, Seam};
