//! How to open one connection.

mod closure;
#[cfg(feature = "rustls")]
mod tls;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use closure::{ConnectFn, connect_fn};
#[cfg(feature = "rustls")]
pub use tls::{TlsConnecting, TlsConnector};

/// Makes connections: everything that one needs until it is ready for use, so the name lookup,
/// the TCP and TLS handshakes and the login.
///
/// Every closure `FnMut() -> impl Future<Output = io::Result<Io>>` is a connector, and
/// [`connect_fn`] makes one of a closure that looks at the [`Attempt`]. Implement the trait to
/// give a connector a name.
///
/// # Cancel safety
///
/// The future is dropped in the middle when the attempt times out, the stream is dropped or
/// shut down, or [`Handle::close`](crate::Handle::close) is called.
///
/// # Panics
///
/// A panic passes through to whoever polled the stream. It counts as a failed attempt: the
/// stream can be polled again and goes on with its backoff.
///
/// # Examples
///
/// ```
/// use std::{future::Future, io, net::SocketAddr, pin::Pin};
/// use reconnecting_stream::{Attempt, Connect};
/// use tokio::net::TcpStream;
///
/// /// Takes the next replica at every attempt.
/// struct Replicas(Vec<SocketAddr>);
///
/// impl Connect for Replicas {
///     type Io = TcpStream;
///     type Future = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;
///
///     fn connect(&mut self, _attempt: &Attempt) -> Self::Future {
///         self.0.rotate_left(1);
///         Box::pin(TcpStream::connect(self.0[0]))
///     }
/// }
/// ```
pub trait Connect {
    /// The connection.
    type Io;
    /// One attempt to make it. It does not have to be [`Unpin`].
    type Future: Future<Output = io::Result<Self::Io>>;

    /// Starts an attempt. The next one starts only when this one has ended or was dropped.
    fn connect(&mut self, attempt: &Attempt) -> Self::Future;
}

/// What a connector may know about the attempt it makes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// The number of this attempt in its outage, from 1.
    pub number: u32,
    /// The generation that the connection will have.
    pub generation: u64,
    /// What the attempt before failed with, or the cause of the loss.
    pub last_error: Option<Arc<io::Error>>,
    /// How long the outage has lasted.
    pub downtime: Duration,
}

impl Attempt {
    /// The first attempt of a new stream: for calling a connector by hand, as a test does.
    #[must_use]
    pub const fn first() -> Self {
        Self {
            number: 1,
            generation: 1,
            last_error: None,
            downtime: Duration::ZERO,
        }
    }
}
