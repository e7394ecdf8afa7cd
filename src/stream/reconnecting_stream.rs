//! The byte stream.

use std::fmt;
use std::io::Result;
use std::pin::Pin;

use pin_project::pin_project;

use crate::builder::{Builder, ByteStream};
use crate::connect::Connect;
use crate::transfer::Transfer;

/// A byte stream that outlives its connections.
///
/// It implements [`AsyncRead`](tokio::io::AsyncRead) and [`AsyncWrite`](tokio::io::AsyncWrite)
/// when its connections do. When one of them dies, the next operation continues on a fresh one,
/// made by the connector under the [`Policy`](crate::Policy).
///
/// # What is lost
///
/// Bytes that a dead connection had accepted may not have arrived; neither side can tell. The
/// [`Seam`](crate::Seam) decides what else is reported to the user of the stream. With the default,
/// [`Seam::Hidden`](crate::Seam::Hidden), that is nothing, so a message can be cut in two and
/// continue on a connection whose peer never received its beginning. With
/// [`Seam::Error`](crate::Seam::Error) each half gets one error first.
///
/// Never put a client that matches replies to requests (a multiplexed client) over a hidden seam:
/// after a loss it takes the reply to one request for the reply to another.
///
/// # Waking
///
/// The stream makes progress only when it is polled: no task runs behind it. Its two halves may be
/// polled by two tasks ([`into_split`](Self::into_split)). When one of them replaces the connection, the other
/// one is woken.
///
/// # Cancel safety
///
/// Dropping the future of a read, a write or [`connected`](Self::connected) loses nothing. The
/// next one continues where it was, and the other half is still woken.
///
/// # Panics
///
/// Backoff and timeouts need a Tokio runtime with time enabled; outside of one they panic. A
/// panic of the connector continues in the task that polled, and the stream continues with its
/// backoff at the next poll.
///
/// # Examples
///
/// ```
/// use reconnecting_stream::ReconnectingStream;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use tokio::net::TcpStream;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let address = listener.local_addr()?;
/// # tokio::spawn(async move {
/// #     loop {
/// #         let (mut peer, _) = listener.accept().await.unwrap();
/// #         let mut ping = [0; 4];
/// #         peer.read_exact(&mut ping).await.unwrap();
/// #         peer.write_all(b"pong").await.unwrap();
/// #     }
/// # });
/// let mut stream = ReconnectingStream::connect(move || TcpStream::connect(address)).await?;
///
/// // The server closes after each answer.
/// for _ in 0..2 {
///     let mut pong = [0; 4];
///     stream.write_all(b"ping").await?;
///     stream.read_exact(&mut pong).await?;
/// #   assert_eq!(&pong, b"pong");
///     stream.reconnect();
/// }
/// # Ok(())
/// # }
/// ```
#[pin_project]
pub struct ReconnectingStream<C: Connect> {
    #[pin]
    pub(super) transfer: Transfer<C>,
}

/// A [`ReconnectingStream`] over TCP.
///
/// # Examples
///
/// ```no_run
/// use reconnecting_stream::{ReconnectingTcpStream, TcpConnector};
///
/// struct Client {
///     stream: ReconnectingTcpStream,
/// }
///
/// # async fn example() -> std::io::Result<()> {
/// let connector = TcpConnector::new("db.example:5432");
/// let client = Client { stream: ReconnectingTcpStream::connect(connector).await? };
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "net")]
pub type ReconnectingTcpStream = ReconnectingStream<crate::connect::TcpConnector>;

/// A [`ReconnectingStream`] over a Unix socket.
///
/// # Examples
///
/// ```no_run
/// use reconnecting_stream::{ReconnectingUnixStream, UnixConnector};
///
/// # async fn example() -> std::io::Result<()> {
/// let connector = UnixConnector::new("/run/redis/redis.sock");
/// let stream = ReconnectingUnixStream::connect(connector).await?;
/// # Ok(())
/// # }
/// ```
#[cfg(all(feature = "net", unix))]
pub type ReconnectingUnixStream = ReconnectingStream<crate::connect::UnixConnector>;

impl<C: Connect> ReconnectingStream<C> {
    /// Makes the first connection with one attempt, under the default [`Policy`](crate::Policy).
    ///
    /// # Errors
    ///
    /// The error of the connector, or [`TimedOut`](std::io::ErrorKind::TimedOut).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempt.
    pub async fn connect(connector: C) -> Result<Self>
    where
        C::Io: Unpin,
    {
        Self::builder(connector).connect().await
    }

    /// Returns a builder, to set a policy and a seam before connecting.
    pub fn builder(connector: C) -> Builder<C> {
        Builder::new(connector, ByteStream)
    }

    /// Drops the connection now; the next operation dials again, without a delay. A backoff ends
    /// now, a running attempt continues, and a stream that gave up starts again.
    pub fn reconnect(&mut self)
    where
        C::Io: Unpin,
    {
        Pin::new(&mut self.transfer).reconnect();
    }

    /// Declares the connection dead, with this cause: a loss like any other, under the backoff.
    /// Does nothing if there is no connection.
    ///
    /// For what only the application can see: a protocol error, a missed heartbeat. A peer that
    /// dies at the first command of each connection is dialed as often as one that refuses;
    /// [`reconnect`](Self::reconnect) in its place would dial without a delay each time.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io;
    /// use reconnecting_stream::{Connect, ReconnectingStream};
    ///
    /// fn check_reply<C: Connect<Io: Unpin>>(stream: &mut ReconnectingStream<C>, reply: &[u8]) {
    ///     if !reply.starts_with(b"+") {
    ///         stream.mark_lost(io::Error::new(io::ErrorKind::InvalidData, "not a reply"));
    ///     }
    /// }
    /// ```
    pub fn mark_lost(&mut self, cause: std::io::Error)
    where
        C::Io: Unpin,
    {
        Pin::new(&mut self.transfer).mark_lost(cause);
    }

    /// Waits for a connection, and returns its generation. Returns immediately if there is one that
    /// is not known to be dead. Moves no data, and leaves the errors of seams to the halves.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](crate::GaveUp), [`NotConnected`](std::io::ErrorKind::NotConnected) if the stream
    /// was closed, or an error of an attempt that the policy
    /// [surfaces](crate::Verdict::Surface).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: a running attempt continues at the next poll.
    pub async fn connected(&mut self) -> Result<u64>
    where
        C::Io: Unpin,
    {
        self.transfer.connected().await
    }

    /// Waits for a connection, as [`connected`](Self::connected) does, and discards the errors of
    /// all earlier seams that were not reported to the halves.
    ///
    /// Use this when per-connection state (a `BufReader`, a protocol of another crate) is rebuilt on
    /// each connection. Without it, a loss met by one half would be reported by the other half on
    /// the new connection.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](crate::GaveUp), [`NotConnected`](std::io::ErrorKind::NotConnected) if the stream
    /// was closed, or an error of an attempt that the policy
    /// [surfaces](crate::Verdict::Surface).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: a running attempt continues at the next poll, and no error
    /// is discarded before there is a connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io;
    /// use reconnecting_stream::{Connect, ConnectionLost, ReconnectingStream};
    /// use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
    ///
    /// /// Over a stream with `Seam::Error`: the whole greeting of one connection.
    /// async fn greet<C>(stream: &mut ReconnectingStream<C>) -> io::Result<String>
    /// where
    ///     C: Connect<Io: AsyncRead + AsyncWrite + Unpin>,
    /// {
    ///     loop {
    ///         stream.resync().await?;
    ///         let mut io = BufReader::new(&mut *stream);
    ///         let mut greeting = String::new();
    ///         let greeted = async {
    ///             io.write_all(b"HELLO\n").await?;
    ///             io.read_line(&mut greeting).await
    ///         };
    ///         match greeted.await {
    ///             Ok(_) => return Ok(greeting),
    ///             Err(error) if ConnectionLost::find(&error).is_some() => {}
    ///             Err(error) => return Err(error),
    ///         }
    ///     }
    /// }
    /// ```
    pub async fn resync(&mut self) -> Result<u64>
    where
        C::Io: Unpin,
    {
        let generation = self.transfer.connected().await?;
        self.transfer.discard_losses();
        Ok(generation)
    }
}

impl<C: Connect> fmt::Debug for ReconnectingStream<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingStream")
            .field("state", &self.state())
            .field("seam", &self.transfer.seam())
            .finish_non_exhaustive()
    }
}
