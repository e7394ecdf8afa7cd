//! Messages over one connection after another.
//!
//! A [pure core](core) knows what was received and what is to be sent. [One pump](pump) moves the
//! bytes between it and the connection. Every poll method is a loop: it processes what has changed,
//! asks the core for its result, and runs the pump until there is one. It makes no difference which
//! half polls, or meets a loss.

mod accessors;
mod builder;
mod close;
mod confirm;
mod connector;
mod core;
mod drive;
mod ended;
mod frames;
mod pump;
mod reconnecting_framed;
mod recv_buffer;
mod recv_queue;
mod resend;
mod send_buffer;
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod transient;

pub use builder::{FramedBuilder, FramedOptions};
pub use confirm::ConfirmHandle;
pub use reconnecting_framed::ReconnectingFramed;
pub use resend::Resend;

pub use self::core::OfflineQueue;
