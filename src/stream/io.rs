//! The stream as Tokio sees it.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ReconnectingStream;
use crate::connect::Connect;
use crate::link::{Half, Stop};
use crate::policy::Phase;

impl<C> AsyncRead for ReconnectingStream<C>
where
    C: Connect,
    C::Io: AsyncRead,
{
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let read = this.link.poll_io(Half::Reader(*this.seam), cx, |io, cx| {
            let (before, room) = (buf.filled().len(), buf.remaining());
            match ready!(io.poll_read(cx, buf)) {
                Ok(()) if buf.filled().len() == before && room != 0 => Poll::Ready(Err(Stop::Eof)),
                Ok(()) => Poll::Ready(Ok(())),
                Err(error) => {
                    // What a failed read left there would precede the next connection's bytes.
                    buf.set_filled(before);
                    Poll::Ready(Err(Stop::Error(error)))
                }
            }
        });
        read.map(to_nothing)
    }
}

impl<C> AsyncWrite for ReconnectingStream<C>
where
    C: Connect,
    C::Io: AsyncWrite,
{
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let half = Half::Writer(Phase::Write, *this.seam);
        let write = this.link.poll_io(half, cx, |io, cx| {
            accepted(ready!(io.poll_write(cx, buf)), buf.is_empty())
        });
        write.map_err(Stop::into_write_error)
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let half = Half::Writer(Phase::Write, *this.seam);
        let write = this.link.poll_io(half, cx, |io, cx| {
            let written = ready!(io.poll_write_vectored(cx, bufs));
            accepted(written, bufs.iter().all(|buf| buf.is_empty()))
        });
        write.map_err(Stop::into_write_error)
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        self.get_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let half = Half::Writer(Phase::Flush, *this.seam);
        let flush = this.link.poll_io(half, cx, |io, cx| {
            Poll::Ready(Ok(ready!(io.poll_flush(cx))?))
        });
        flush.map(to_nothing)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        this.link
            .poll_finish(*this.seam, cx, AsyncWrite::poll_shutdown)
    }
}

/// A connection that takes nothing of something takes nothing any more.
#[inline]
fn accepted(written: io::Result<usize>, nothing: bool) -> Poll<Result<usize, Stop>> {
    match written {
        Ok(0) if !nothing => Poll::Ready(Err(Stop::Error(ErrorKind::WriteZero.into()))),
        written => Poll::Ready(Ok(written?)),
    }
}

#[inline]
fn to_nothing(result: Result<(), Stop>) -> io::Result<()> {
    match result {
        Ok(()) | Err(Stop::Eof | Stop::Nothing) => Ok(()),
        Err(Stop::Error(error)) => Err(error),
    }
}
