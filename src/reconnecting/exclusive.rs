//! A client for one task.

use std::fmt;
use std::io::{self, Result};
use std::pin::Pin;

use super::builder::Supervised;
use super::shared::SharedReconnecting;
use crate::builder::Builder;
use crate::connect::Connect;
use crate::link::{Handle, State};
use crate::transfer::Transfer;

/// A client of any type that is replaced when its user reports that it is lost.
///
/// For what is no byte stream: the client of a database, an SSH session, a gRPC channel. The
/// connector returns a client that is ready for use. The crate makes one after the other, under the
/// [`Policy`](crate::Policy), and lends them out. It does not look into them: the user finds out
/// that a client is dead, because a call of it fails, and reports that with
/// [`mark_lost`](Self::mark_lost). Then the client is dropped, and the next one is made after the
/// backoff.
///
/// A call that failed may have been executed. Repeat it only if it is safe to be executed twice.
///
/// If the clients are `Clone`, many tasks can use them: see [`shared`](Self::shared).
///
/// # Cancel safety
///
/// Dropping the future of [`get`](Self::get) or [`connected`](Self::connected) loses nothing. A
/// running attempt continues at the next call. No task runs behind it.
///
/// # Panics
///
/// Backoff and timeouts need a Tokio runtime with time enabled; outside of one they panic. A panic
/// of the connector continues in the task that polled.
///
/// # Examples
///
/// ```
/// use std::io;
/// use reconnecting_stream::{Connect, Reconnecting};
/// # use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
/// # use tokio::net::{TcpListener, TcpStream};
///
/// # /// The client of another crate.
/// # struct Client(BufReader<TcpStream>);
/// # impl Client {
/// #     async fn connect(address: std::net::SocketAddr) -> io::Result<Self> {
/// #         Ok(Self(BufReader::new(TcpStream::connect(address).await?)))
/// #     }
/// #     async fn get(&mut self, key: &str) -> io::Result<String> {
/// #         self.0.write_all(format!("{key}\n").as_bytes()).await?;
/// #         let mut value = String::new();
/// #         match self.0.read_line(&mut value).await? {
/// #             0 => Err(io::ErrorKind::UnexpectedEof.into()),
/// #             _ => Ok(value),
/// #         }
/// #     }
/// # }
/// /// A `get` changes nothing, so it is safe to repeat.
/// async fn get<C: Connect<Io = Client>>(
///     database: &mut Reconnecting<C>,
///     key: &str,
/// ) -> io::Result<String> {
///     loop {
///         let client = database.get().await?; // fails when the policy gives up
///         match client.get(key).await {
///             Ok(value) => return Ok(value),
///             Err(error) => database.mark_lost(error),
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> io::Result<()> {
/// # let listener = TcpListener::bind("127.0.0.1:0").await?;
/// # let address = listener.local_addr()?;
/// # tokio::spawn(async move {
/// #     for n in 0.. {
/// #         let mut io = BufReader::new(listener.accept().await.unwrap().0);
/// #         io.read_line(&mut String::new()).await.unwrap();
/// #         if n > 0 {
/// #             io.write_all(b"value\n").await.unwrap();
/// #             std::future::pending::<()>().await;
/// #         }
/// #     }
/// # });
/// let mut database = Reconnecting::connect(move || Client::connect(address)).await?;
/// assert_eq!(get(&mut database, "key").await?, "value\n");
/// # assert_eq!(database.generation(), 2);
/// # Ok(())
/// # }
/// ```
pub struct Reconnecting<C: Connect> {
    pub(super) transfer: Transfer<C>,
}

impl<C: Connect> Reconnecting<C> {
    /// Makes the first client with one attempt, under the default [`Policy`](crate::Policy).
    ///
    /// # Errors
    ///
    /// The error of the connector, or [`TimedOut`](io::ErrorKind::TimedOut).
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

    /// Returns a builder, to set a policy and an observer before connecting.
    pub fn builder(connector: C) -> Builder<C, Supervised> {
        Builder::new(connector, Supervised)
    }

    /// Waits for a client, and returns it. Returns immediately if there is one that was not reported
    /// as lost.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](crate::GaveUp), [`NotConnected`](io::ErrorKind::NotConnected) after
    /// [`Handle::close`], or an error of an attempt that the policy
    /// [surfaces](crate::Verdict::Surface).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: a running attempt continues at the next call.
    pub async fn get(&mut self) -> Result<&mut C::Io>
    where
        C::Io: Unpin,
    {
        self.connected().await?;
        let client = self.transfer.get_mut();
        client.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Waits for a client, as [`get`](Self::get) does, and returns its generation.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: a running attempt continues at the next call.
    pub async fn connected(&mut self) -> Result<u64>
    where
        C::Io: Unpin,
    {
        self.transfer.connected().await
    }

    /// Reports that the client is lost, with this cause, which events and the log contain. The
    /// client is dropped now, and the next one is made after the backoff. Does nothing if there is
    /// no client.
    ///
    /// Report a failed call only if the client can't be used any more. A refused query is no loss.
    /// An error of another type becomes a cause with [`io::Error::other`].
    pub fn mark_lost(&mut self, cause: io::Error)
    where
        C::Io: Unpin,
    {
        Pin::new(&mut self.transfer).mark_lost(cause);
    }

    /// Drops the client now; the next one is made without a delay. A backoff ends now, a running
    /// attempt continues, and a client that was given up starts again.
    pub fn reconnect(&mut self)
    where
        C::Io: Unpin,
    {
        Pin::new(&mut self.transfer).reconnect();
    }

    /// Returns the number of the current client, or of the last one if there is none now; 0 before
    /// the first.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.transfer.generation()
    }

    /// Returns the state.
    #[must_use]
    pub fn state(&self) -> State {
        self.transfer.state()
    }

    /// Returns a handle that watches and commands it from other tasks.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.transfer.handle()
    }

    /// Returns the client; `None` while there is none.
    #[must_use]
    pub fn get_ref(&self) -> Option<&C::Io> {
        self.transfer.get_ref()
    }

    /// Returns the client; `None` while there is none.
    pub fn get_mut(&mut self) -> Option<&mut C::Io> {
        self.transfer.get_mut()
    }

    /// Takes the client out; `None` if there is none.
    #[must_use]
    pub fn into_inner(self) -> Option<C::Io> {
        self.transfer.into_inner()
    }

    /// Converts it for use by many tasks, if its clients are `Clone`.
    #[must_use]
    pub fn shared(self) -> SharedReconnecting<C>
    where
        C::Io: Clone + Unpin,
    {
        SharedReconnecting::new(self.transfer)
    }
}

impl<C: Connect> fmt::Debug for Reconnecting<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
