//! The owned halves of a byte stream, for two tasks.

mod half_lock;

use std::fmt;
use std::future::poll_fn;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::reconnecting_stream::ReconnectingStream;
use crate::connect::Connect;
use crate::error::ReuniteError;
use crate::link::{Handle, Role, State};
use crate::transfer::NothingToRead;
use half_lock::{Half, HalfLock};

/// The reading half of a [`ReconnectingStream`], from
/// [`into_split`](ReconnectingStream::into_split), which says what the halves share.
pub struct ReconnectingReadHalf<C: Connect>(Shared<C>);

/// The writing half of a [`ReconnectingStream`], from
/// [`into_split`](ReconnectingStream::into_split), which says what the halves share.
///
/// Dropping it does not end its direction, because the peer could take that for everything: shut it
/// down. The reading half continues, and still replaces a connection that is lost. The connection is
/// dropped with the second half.
pub struct ReconnectingWriteHalf<C: Connect>(Shared<C>);

/// What a half has of its stream.
struct Shared<C: Connect> {
    stream: Arc<HalfLock<ReconnectingStream<C>>>,
    handle: Handle,
}

impl<C: Connect> ReconnectingStream<C>
where
    C::Io: Unpin,
{
    /// Splits the stream into halves for two tasks.
    ///
    /// The halves share the connection. It is replaced when one of them meets a loss, and both are
    /// woken. With [`Seam::Error`](crate::Seam::Error) each half gets its own error at the seam.
    ///
    /// A connection can be polled by one half at a time, whatever its type. A half that is polled
    /// while another thread polls the other one returns `Pending`, and is woken when that poll is
    /// over. No thread waits. If the connection, the connector or the observer panics in a poll of
    /// one half, the other half continues as it would on the whole stream. `tokio::io::split`
    /// blocks the thread in the first case, and panics in the second.
    ///
    /// If the tasks are on two runtimes, each waits for a timer of its own. A socket is driven by the
    /// runtime of the task that began to connect it, so that one has to run.
    ///
    /// There are no native halves, such as those of `TcpStream::into_split`, because a connection
    /// may be of any type and is replaced as a whole.
    ///
    /// # Examples
    ///
    /// ```
    /// use reconnecting_stream::ReconnectingStream;
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// use tokio::net::TcpStream;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let address = listener.local_addr()?;
    /// # tokio::spawn(async move {
    /// #     let (mut peer, _) = listener.accept().await.unwrap();
    /// #     let (mut read, mut write) = peer.split();
    /// #     tokio::io::copy(&mut read, &mut write).await.unwrap();
    /// # });
    /// let stream = ReconnectingStream::connect(move || TcpStream::connect(address)).await?;
    /// let (mut reader, mut writer) = stream.into_split();
    ///
    /// let reading = tokio::spawn(async move {
    ///     let mut echo = [0; 5];
    ///     reader.read_exact(&mut echo).await?;
    ///     assert_eq!(&echo, b"hello");
    ///     std::io::Result::Ok(reader)
    /// });
    /// writer.write_all(b"hello").await?;
    ///
    /// let stream = reading.await??.reunite(writer)?;
    /// assert_eq!(stream.generation(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn into_split(self) -> (ReconnectingReadHalf<C>, ReconnectingWriteHalf<C>) {
        let handle = self.handle();
        let reader = Shared {
            handle: handle.clone(),
            stream: Arc::new(HalfLock::new(self)),
        };
        let writer = Shared {
            handle,
            stream: Arc::clone(&reader.stream),
        };
        (ReconnectingReadHalf(reader), ReconnectingWriteHalf(writer))
    }
}

impl<C: Connect> ReconnectingReadHalf<C> {
    /// Puts the two halves of a stream together again.
    ///
    /// # Errors
    ///
    /// The halves are of two streams.
    pub fn reunite(
        self,
        write: ReconnectingWriteHalf<C>,
    ) -> std::result::Result<ReconnectingStream<C>, ReuniteError<Self, ReconnectingWriteHalf<C>>>
    {
        if !Arc::ptr_eq(&self.0.stream, &write.0.stream) {
            return Err(ReuniteError(self, write));
        }
        let Shared { stream, handle } = self.0;
        drop(write);
        match Arc::try_unwrap(stream) {
            Ok(stream) => Ok(stream.into_inner()),
            // Not reached: there are two halves.
            Err(stream) => Err(ReuniteError(
                Self(Shared {
                    stream: Arc::clone(&stream),
                    handle: handle.clone(),
                }),
                ReconnectingWriteHalf(Shared { stream, handle }),
            )),
        }
    }

    /// Waits for a connection, and returns its generation. See
    /// [`ReconnectingStream::connected`]. Both halves may wait.
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
        self.0.connected(Half::Read).await
    }

    /// Returns the state of the stream.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.handle.state()
    }

    /// Returns a handle that watches and commands the stream from other tasks.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.0.handle.clone()
    }
}

impl<C: Connect> ReconnectingWriteHalf<C> {
    /// Waits for a connection, and returns its generation. See
    /// [`ReconnectingStream::connected`]. Both halves may wait.
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
        self.0.connected(Half::Write).await
    }

    /// Returns the state of the stream.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.handle.state()
    }

    /// Returns a handle that watches and commands the stream from other tasks.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.0.handle.clone()
    }
}

impl<C: Connect> Shared<C>
where
    C::Io: Unpin,
{
    #[inline]
    fn poll<T>(
        &self,
        half: Half,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut ReconnectingStream<C>>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.stream
            .poll(half, cx, |stream, cx| poll(Pin::new(stream), cx))
    }

    /// Each half waits in its own role, so that each has a waker of its own.
    async fn connected(&self, half: Half) -> Result<u64> {
        let role = match half {
            Half::Read => Role::Read,
            Half::Write => Role::Write,
        };
        poll_fn(|cx| {
            self.poll(half, cx, |stream, cx| {
                let transfer = Pin::new(&mut stream.get_mut().transfer);
                transfer.poll_connected(role, cx, &mut NothingToRead)
            })
        })
        .await
    }
}

impl<C> AsyncRead for ReconnectingReadHalf<C>
where
    C: Connect,
    C::Io: AsyncRead + Unpin,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        self.0
            .poll(Half::Read, cx, |stream, cx| stream.poll_read(cx, buf))
    }
}

impl<C> AsyncWrite for ReconnectingWriteHalf<C>
where
    C: Connect,
    C::Io: AsyncWrite + Unpin,
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.0
            .poll(Half::Write, cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.0.poll(Half::Write, cx, |stream, cx| {
            stream.poll_write_vectored(cx, bufs)
        })
    }

    /// Returns false while the other half is in a poll, too.
    fn is_write_vectored(&self) -> bool {
        let is_vectored = AsyncWrite::is_write_vectored;
        let asked = self.0.stream.try_with(Half::Write, is_vectored);
        asked.unwrap_or(false)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll(Half::Write, cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll(Half::Write, cx, AsyncWrite::poll_shutdown)
    }
}

impl<C: Connect> fmt::Debug for ReconnectingReadHalf<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingReadHalf")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl<C: Connect> fmt::Debug for ReconnectingWriteHalf<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingWriteHalf")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
