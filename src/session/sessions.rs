//! The sessions of a server, over any transport.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::accept::accept;
use super::options::SessionOptions;
use super::stream::ResumableStream;
use super::table::Table;
use super::transport::boxed;

/// The sessions of a server, over any transport: TCP, TLS, a Unix socket. Cloning it gives another
/// reference to the same sessions.
///
/// For TCP a `ResumableListener` does what the example does.
///
/// # Examples
///
/// ```no_run
/// use reconnecting_stream::{Accepted, ResumableStream, SessionOptions, Sessions};
/// use tokio::net::UnixListener;
///
/// async fn serve(stream: ResumableStream) {
///     // Read and write, for as long as the session lives.
/// }
///
/// # async fn example() -> std::io::Result<()> {
/// let sessions = Sessions::new(SessionOptions::default());
/// let listener = UnixListener::bind("/run/server.sock")?;
/// loop {
///     let (socket, _) = listener.accept().await?;
///     let sessions = sessions.clone();
///     // In a task of its own, so that no handshake waits for another.
///     tokio::spawn(async move {
///         if let Ok(Accepted::New(stream)) = sessions.accept(socket).await {
///             serve(stream).await;
///         }
///     });
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Sessions {
    table: Arc<Table>,
}

/// How long a shutdown waits for the sessions that it has ended. Their drivers need a second at most,
/// but a driver needs a runtime that runs.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// What an accepted connection is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Accepted {
    /// The first connection of a session.
    New(ResumableStream),
    /// Another connection of a session that the application has already.
    Resumed,
}

impl Sessions {
    /// Returns a server without sessions.
    #[must_use]
    pub fn new(options: SessionOptions) -> Self {
        Self {
            table: Arc::new(Table::new(options)),
        }
    }

    /// Runs the handshake of a connection. Returns the stream if it begins a session; if it resumes
    /// one, the stream that the application has continues on it.
    ///
    /// Call it in a task for each connection: it waits up to the
    /// [handshake timeout](SessionOptions::handshake_timeout) for the handshake, and as long again for
    /// the client's first frame. It returns a session only
    /// once the client has confirmed it, so no handler runs twice for one client.
    ///
    /// # Errors
    ///
    /// The error of the connection, [`TimedOut`](io::ErrorKind::TimedOut), or
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if the client was refused: it does not
    /// know its session's secret, or there is no room;
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) if the connection of a new session, or
    /// the session, ended before it was confirmed; an error of the kind
    /// [`Other`](io::ErrorKind::Other) if the peer breaks the protocol. Only this connection has failed: continue to
    /// accept others.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection, unless it has resumed a session. A session that has
    /// begun waits for its client to resume it, for its time to live. The call that resumes it
    /// returns it.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time enabled.
    pub async fn accept<Io>(&self, io: Io) -> io::Result<Accepted>
    where
        Io: AsyncRead + AsyncWrite + Send + 'static,
    {
        accept(&self.table, boxed(io), None).await
    }

    /// Does what [`accept`](Self::accept) does, for a peer whose identity is known: the name in its
    /// certificate, a user. A session is only resumed by the identity that began it, and an identity
    /// has at most [so many](SessionOptions::max_sessions_per_identity) sessions.
    ///
    /// # Errors
    ///
    /// Those of `accept`.
    ///
    /// # Cancel safety
    ///
    /// That of `accept`.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time enabled.
    pub async fn accept_from<Io>(&self, io: Io, identity: impl AsRef<[u8]>) -> io::Result<Accepted>
    where
        Io: AsyncRead + AsyncWrite + Send + 'static,
    {
        let identity = identity.as_ref().into();
        accept(&self.table, boxed(io), Some(identity)).await
    }

    /// Returns the number of sessions that were [accepted](Self::accept) and have not ended, with and
    /// without a connection.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns whether there are no sessions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses new sessions from now on, waits until the others have ended, and after `deadline` ends
    /// those that are left as [`Closed`](super::Reason::Closed). Until then their clients may resume
    /// them, also if their `ResumableListener` is dropped meanwhile. Sessions that were not
    /// [accepted](Self::accept) yet are ended immediately.
    ///
    /// After the deadline it waits for up to 5 s until the clients are told. A session whose runtime
    /// does not run can't tell its client. It keeps its connection until the runtime runs again or is
    /// dropped.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, new sessions stay refused and the others continue.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time enabled.
    pub async fn shutdown(&self, deadline: Duration) {
        self.table.refuse_new();
        if timeout(deadline, self.table.drained()).await.is_err() {
            self.table.abort_all(|_| true);
            let _ = timeout(END_TIMEOUT, self.table.drained()).await;
        }
    }

    /// Completes when there are no sessions.
    #[cfg(feature = "net")]
    pub(super) async fn drained(&self) {
        self.table.drained().await;
    }

    /// Returns whether [`shutdown`](Self::shutdown) was called.
    #[cfg(feature = "net")]
    pub(super) fn is_shut_down(&self) -> bool {
        self.table.refuses_new()
    }

    /// Completes once [`shutdown`](Self::shutdown) was called.
    #[cfg(feature = "net")]
    pub(super) async fn shut_down(&self) {
        self.table.shut_down().await;
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
