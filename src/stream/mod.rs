//! A byte stream over one connection after another.

mod accessors;
mod builder;
mod io;
#[cfg(feature = "codec")]
mod messages;
mod reconnecting_stream;
mod split;

#[cfg(feature = "codec")]
pub use messages::MessageTransport;
pub use reconnecting_stream::ReconnectingStream;
#[cfg(feature = "net")]
pub use reconnecting_stream::ReconnectingTcpStream;
#[cfg(all(feature = "net", unix))]
pub use reconnecting_stream::ReconnectingUnixStream;
pub use split::{ReconnectingReadHalf, ReconnectingWriteHalf};
