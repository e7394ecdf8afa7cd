//! The trait of connectors.

use std::future::Future;
use std::io;
use std::time::Duration;

use super::and_then::AndThen;
use super::attempt::Attempt;
use super::boxed::BoxConnector;
#[cfg(doc)]
use super::closure::connect_fn;
use super::map::Map;
use super::timeout::Timeout;

/// Makes connections that are ready for use. An attempt includes the name lookup, the TCP and TLS
/// handshakes and the login.
///
/// Every closure `FnMut() -> impl Future<Output = io::Result<Io>>` is a connector, and
/// [`connect_fn`] makes one from a closure that takes the [`Attempt`]. Implement the trait for a
/// connector with a type name.
///
/// # Cancel safety
///
/// The stream drops the future before it completes when the attempt times out, when the stream is
/// dropped or shut down, or when [`Handle::close`](crate::Handle::close) is called.
///
/// # Panics
///
/// A panic propagates to the task that polls the stream. It counts as a failed attempt. The stream
/// can be polled again and continues with its backoff.
///
/// # Examples
///
/// ```
/// use std::{future::Future, io, net::SocketAddr, pin::Pin};
/// use reconnecting_stream::{Attempt, Connect};
/// use tokio::net::TcpStream;
///
/// /// Connects to the next replica at every attempt.
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
    /// The type of the connections.
    type Io;
    /// The future of one attempt. It does not have to be [`Unpin`].
    type Future: Future<Output = io::Result<Self::Io>>;

    /// Starts an attempt. The next attempt starts only after this one has ended or was dropped.
    fn connect(&mut self, attempt: &Attempt) -> Self::Future;

    /// Adds a step on every new connection: a login, a handshake, a subscription. The step is part
    /// of the attempt. Its error is the error of the attempt, and the attempt timeout covers it.
    ///
    /// The step is cloned for each attempt, so an `async move` closure may consume its captures.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use reconnecting_stream::{Connect, Permanent, ReconnectingStream};
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// use tokio::net::TcpStream;
    ///
    /// # async fn example(password: String) -> std::io::Result<()> {
    /// let login = move |mut socket: TcpStream| async move {
    ///     socket.write_all(password.as_bytes()).await?;
    ///     match socket.read_u8().await? {
    ///         b'+' => Ok(socket),
    ///         _ => Err(Permanent::new("the server refused the password").into()),
    ///     }
    /// };
    /// let connector = (|| TcpStream::connect("127.0.0.1:7000")).and_then(login);
    /// let stream = ReconnectingStream::connect(connector).await?;
    /// # Ok(())
    /// # }
    /// ```
    fn and_then<F, Fut, Io>(self, step: F) -> AndThen<Self, F>
    where
        Self: Sized,
        F: FnOnce(Self::Io) -> Fut + Clone,
        Fut: Future<Output = io::Result<Io>>,
    {
        AndThen::new(self, step)
    }

    /// Wraps every new connection synchronously: in a buffer, a counter, a compressor.
    ///
    /// # Examples
    ///
    /// ```
    /// use reconnecting_stream::{Connect, ReconnectingStream};
    /// use tokio::io::BufStream;
    /// use tokio::net::TcpStream;
    ///
    /// let connector = (|| TcpStream::connect("127.0.0.1:7000")).map(BufStream::new);
    /// let stream = ReconnectingStream::builder(connector).lazy();
    /// # let _ = stream;
    /// ```
    fn map<F, Io>(self, f: F) -> Map<Self, F>
    where
        Self: Sized,
        F: FnOnce(Self::Io) -> Io + Clone,
    {
        Map::new(self, f)
    }

    /// Limits the time of the steps so far. The limit is at least 1 ms. Steps that take longer fail
    /// with [`TimedOut`](io::ErrorKind::TimedOut). The whole attempt is also limited by
    /// [`Policy::attempt_timeout`](crate::Policy::attempt_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use reconnecting_stream::Connect;
    /// use tokio::net::TcpStream;
    ///
    /// # async fn login(socket: TcpStream) -> std::io::Result<TcpStream> { Ok(socket) }
    /// let connector = (|| TcpStream::connect("127.0.0.1:7000"))
    ///     .timeout(Duration::from_secs(2)) // the connection alone
    ///     .and_then(login)
    ///     .timeout(Duration::from_secs(5)); // with the login
    /// # let _ = connector;
    /// ```
    fn timeout(self, limit: Duration) -> Timeout<Self>
    where
        Self: Sized,
    {
        Timeout::new(self, limit)
    }

    /// Boxes the connector, so that its type can be written in a field or a signature.
    fn boxed(self) -> BoxConnector<Self::Io>
    where
        Self: Sized + Send + 'static,
        Self::Future: Send + 'static,
    {
        BoxConnector::new(self)
    }
}
