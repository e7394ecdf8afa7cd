//! Sessions: a byte stream that loses nothing, between two ends that both use this crate.
//!
//! - [`protocol`]: everything that the two ends agree on, pure.
//! - [`shared`]: one session, under its lock. [`waiting`]: the tasks that wait for it.
//!   [`ownership`]: what follows when the application drops its end.
//! - [`application`]: what reads and writes do. [`stream`] and [`split`] are its types.
//! - [`driver`]: the task of a session. [`exchange`] moves bytes between a connection and the
//!   session, [`defers`] says which rounds leave the writes to the next one, and [`closing`] limits
//!   what is left to do at its end. [`idle`] releases its memory.
//! - [`report`] and [`counts`]: what it logs, and its metrics.
//! - [`builder`], [`client`]: the connections of a client, from a [`Link`](crate::link::Link).
//! - [`accept`], [`confirm`], [`accepted`]: the connections of a server. [`table`], [`room`],
//!   [`tombstones`]: its sessions. [`sessions`] and `listener` are its types. `queue`: the streams
//!   of a listener that wait for `accept`.

mod accept;
mod accepted;
mod application;
mod builder;
mod client;
mod closing;
mod confirm;
mod counts;
mod defers;
mod driver;
mod error;
mod exchange;
mod idle;
#[cfg(feature = "net")]
mod listener;
mod options;
mod ownership;
mod protocol;
#[cfg(feature = "net")]
mod queue;
mod rate;
mod report;
mod room;
mod sessions;
mod shared;
mod split;
mod stream;
mod table;
#[cfg(test)]
mod tests;
mod timer;
mod tombstones;
mod transport;
mod waiting;

pub use builder::ResumableBuilder;
pub use error::SessionLost;
#[cfg(feature = "net")]
pub use listener::{ResumableListener, ResumableListenerBuilder};
pub use options::SessionOptions;
pub use protocol::{Reason, SessionId};
pub use sessions::{Accepted, Sessions};
pub use split::{ResumableReadHalf, ResumableWriteHalf};
pub use stream::ResumableStream;
