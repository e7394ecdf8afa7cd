//! Connectors: how to make one connection.

#[cfg(feature = "net")]
mod address;
mod and_then;
mod attempt;
mod boxed;
mod closure;
#[expect(
    clippy::module_inception,
    reason = "the trait is named after the folder"
)]
mod connect;
mod map;
#[cfg(feature = "net")]
mod tcp;
mod then;
mod timeout;
#[cfg(feature = "rustls")]
mod tls;
#[cfg(all(feature = "net", unix))]
mod unix;

#[cfg(feature = "net")]
pub use address::{Address, AddressConnector, AddressStream, ParseAddressError};
pub use and_then::{AndThen, AndThenAttempt};
pub use attempt::Attempt;
pub use boxed::BoxConnector;
pub use closure::{ConnectFn, connect_fn};
pub use connect::Connect;
pub use map::{Map, MapAttempt};
#[cfg(feature = "net")]
pub use tcp::{Endpoint, EndpointFailure, Keepalive, TcpConnector, Unreachable};
#[cfg(feature = "codec")]
pub(crate) use then::{Step, Then};
pub use timeout::{Timeout, TimeoutAttempt};
#[cfg(feature = "rustls")]
pub use tls::{TlsAttempt, TlsConnector};
#[cfg(all(feature = "net", unix))]
pub use unix::UnixConnector;
