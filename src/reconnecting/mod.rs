//! Clients that are no byte streams: connected by the crate, used by the caller.

mod builder;
mod exclusive;
mod lock;
mod shared;

pub use builder::Supervised;
pub use exclusive::Reconnecting;
pub use shared::{Lease, SharedReconnecting};
