//! The halves of a stream, for two tasks.

use std::fmt;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::application::Application;
use super::protocol::SessionId;
use super::stream::ResumableStream;
use crate::error::ReuniteError;
use crate::link::{Handle, State};

/// The reading half of a [`ResumableStream`], from [`into_split`](ResumableStream::into_split).
///
/// No half waits for the other one. The session is reset when both are dropped and the writing half
/// was not shut down before.
pub struct ResumableReadHalf(Application);

/// The writing half of a [`ResumableStream`], from [`into_split`](ResumableStream::into_split).
///
/// Dropping it does not end its direction, because the peer could take that for everything: shut it
/// down. The session is reset when both halves are dropped and this one was not shut down before.
pub struct ResumableWriteHalf(Application);

impl ResumableReadHalf {
    pub(super) fn split(application: Application) -> (Self, ResumableWriteHalf) {
        (Self(application.clone()), ResumableWriteHalf(application))
    }

    /// Puts the two halves of a stream together again.
    ///
    /// # Errors
    ///
    /// The halves are of two sessions.
    pub fn reunite(
        self,
        write: ResumableWriteHalf,
    ) -> std::result::Result<ResumableStream, ReuniteError<Self, ResumableWriteHalf>> {
        if self.0.is_same(&write.0) {
            Ok(ResumableStream {
                application: write.0,
            })
        } else {
            Err(ReuniteError(self, write))
        }
    }

    /// Returns the id of the session. See [`ResumableStream::id`].
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.id()
    }

    /// Returns what the client said when the session began.
    #[must_use]
    pub fn metadata(&self) -> &[u8] {
        self.0.metadata()
    }

    /// Returns the state of the connection.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.handle.state()
    }

    /// Returns a handle. See [`ResumableStream::handle`].
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.0.handle.clone()
    }
}

impl ResumableWriteHalf {
    /// Returns the id of the session. See [`ResumableStream::id`].
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.id()
    }

    /// Returns what the client said when the session began.
    #[must_use]
    pub fn metadata(&self) -> &[u8] {
        self.0.metadata()
    }

    /// Returns the state of the connection.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.handle.state()
    }

    /// Returns a handle. See [`ResumableStream::handle`].
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.0.handle.clone()
    }

    /// Returns how many bytes were written and are not acknowledged by the peer.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        self.0.unacknowledged()
    }

    /// Waits until the process of the peer has everything that was written before the call. See
    /// [`ResumableStream::acknowledged`].
    ///
    /// # Errors
    ///
    /// A [`SessionLost`](super::SessionLost).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn acknowledged(&self) -> Result<()> {
        self.0.acknowledged().await
    }
}

impl AsyncRead for ResumableReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        self.0.poll_read(cx, buf)
    }
}

impl AsyncWrite for ResumableWriteHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.0.poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.0.poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

impl fmt::Debug for ResumableReadHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_as("ResumableReadHalf", f)
    }
}

impl fmt::Debug for ResumableWriteHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_as("ResumableWriteHalf", f)
    }
}
