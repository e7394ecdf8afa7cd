//! The application's end of a session.

use std::fmt;
use std::io::{self, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::application::Application;
use super::builder::ResumableBuilder;
use super::protocol::SessionId;
use super::split::{ResumableReadHalf, ResumableWriteHalf};
use crate::connect::Connect;
use crate::link::{Handle, State};

/// A byte stream that loses nothing when its connection does, because both ends use this crate.
///
/// While both processes live and no outage lasts longer than the session's
/// [time to live](super::SessionOptions::time_to_live), every byte that one side's `write` accepted is read
/// by the other side once, in order. Otherwise both sides get an error with a
/// [`SessionLost`](super::SessionLost) inside, never a clean end of the stream.
///
/// A client makes one with [`connect`](Self::connect) or [`builder`](Self::builder). A server gets
/// one from a `ResumableListener` or from [`Sessions`](super::Sessions). Both are of this type.
///
/// It does not promise to survive the death of a process, nor that the other application has *handled*
/// what it was sent.
///
/// # Reading and writing
///
/// - A **write** is ready when its bytes are in the send buffer, where they stay until the process
///   of the peer has acknowledged them. It waits while the buffer is full.
/// - A **flush** is ready when everything that fits into the peer's window was handed to the current
///   connection, and immediately while there is none. It never waits for the peer: the rest follows as
///   the peer reads. [`acknowledged`](Self::acknowledged) waits for the peer.
/// - A **shutdown** is ready when the peer has acknowledged everything and the end. Reading
///   continues.
/// - A **read** returns `Ok(0)` only for the peer's own shutdown, after every byte before it.
///
/// A stream that is dropped without a shutdown resets the session: the peer gets a `SessionLost`. One
/// that is dropped after a shutdown delivers what was written first.
///
/// # The task behind it
///
/// A task owns the connection, so the stream continues while it is not polled: the session answers
/// the peer's PINGs, reconnects, and receives up to its window. The task ends with the session. If
/// its runtime shuts down, the session is lost as [`Closed`](super::Reason::Closed).
///
/// A panic of a connection, a connector, an observer or a waker is logged, and ends at most the
/// connection. If the task panics a hundred times without a wait between, the session is lost as
/// `Closed`.
///
/// # Cancel safety
///
/// Dropping the future of a read, a write, a flush or a shutdown loses nothing.
///
/// # Examples
///
/// ```no_run
/// use reconnecting_stream::ResumableStream;
/// use tokio::io::AsyncWriteExt;
/// use tokio::net::TcpStream;
///
/// # async fn example() -> std::io::Result<()> {
/// let connector = || TcpStream::connect("server.example:7000");
/// let mut stream = ResumableStream::connect(connector).await?;
/// stream.write_all(b"everything").await?;
/// stream.flush().await?;
/// // Now the process of the server has it.
/// stream.acknowledged().await?;
/// # Ok(())
/// # }
/// ```
pub struct ResumableStream {
    pub(super) application: Application,
}

impl ResumableStream {
    /// Begins a session over the connector's connections, under the default
    /// [`Policy`](crate::Policy) and with the default [`SessionOptions`](super::SessionOptions).
    /// Makes the first connection with one attempt.
    ///
    /// # Errors
    ///
    /// The error of the connector or of the handshake, or [`TimedOut`](io::ErrorKind::TimedOut). A server
    /// that refuses the session is a [`SessionLost`](super::SessionLost). One that has no room for it
    /// is [`ResourceBusy`](io::ErrorKind::ResourceBusy), which a later attempt may not be.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempt. A session that the server may have begun gets no
    /// application, and expires.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time enabled.
    pub async fn connect<C>(connector: C) -> Result<Self>
    where
        C: Connect<Io: AsyncRead + AsyncWrite + Send + 'static, Future: Send + 'static>
            + Send
            + 'static,
    {
        Self::builder(connector).connect().await
    }

    /// Returns a builder, to set a policy, options and metadata before connecting.
    pub fn builder<C>(connector: C) -> ResumableBuilder<C> {
        ResumableBuilder::new(connector)
    }

    /// Splits the stream into halves that can be moved to two tasks. See
    /// [`reunite`](ResumableReadHalf::reunite).
    #[must_use]
    pub fn into_split(self) -> (ResumableReadHalf, ResumableWriteHalf) {
        ResumableReadHalf::split(self.application)
    }

    /// Returns the id of the session, which is the same at both ends; [`SessionId::NIL`] until a
    /// server has accepted a session that began [lazily](ResumableBuilder::lazy).
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.application.id()
    }

    /// Returns what the client said when the session began, at most 1 KiB. Empty if it said nothing.
    #[must_use]
    pub fn metadata(&self) -> &[u8] {
        self.application.metadata()
    }

    /// Returns the state of the connection.
    #[must_use]
    pub fn state(&self) -> State {
        self.application.handle.state()
    }

    /// Returns a handle that watches and commands the session from other tasks.
    /// [`reconnect`](Handle::reconnect) and [`mark_lost`](Handle::mark_lost) replace the connection
    /// and lose nothing; at a server, they make the client do it. [`close`](Handle::close) ends the
    /// session: both ends get a [`SessionLost`](super::SessionLost).
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.application.handle.clone()
    }

    /// Returns how many bytes were written and are not acknowledged by the peer.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        self.application.unacknowledged()
    }

    /// Waits until the process of the peer has everything that was written before the call. The
    /// peer's application need not have read it.
    ///
    /// # Errors
    ///
    /// A [`SessionLost`](super::SessionLost).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn acknowledged(&self) -> Result<()> {
        self.application.acknowledged().await
    }
}

impl AsyncRead for ResumableStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        self.application.poll_read(cx, buf)
    }
}

impl AsyncWrite for ResumableStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.application.poll_write(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.application.poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.application.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.application.poll_shutdown(cx)
    }
}

impl fmt::Debug for ResumableStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.application.fmt_as("ResumableStream", f)
    }
}
