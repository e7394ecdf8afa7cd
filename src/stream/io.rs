//! The stream as Tokio sees it.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ReconnectingStream;
use crate::connect::Connect;
use crate::link::{Half, Operation, Stop};
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
        let before = buf.filled().len();
        self.project().link.poll_io(cx, Read { buf, before })
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
        self.project().link.poll_io(cx, Write(buf))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().link.poll_io(cx, WriteVectored(bufs))
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        self.get_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().link.poll_io(cx, Flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let half = Half::Writer(Phase::Flush);
        self.project()
            .link
            .poll_finish(half, cx, AsyncWrite::poll_shutdown)
    }
}

struct Read<'a, 'b> {
    buf: &'a mut ReadBuf<'b>,
    /// How much of `buf` was filled before.
    before: usize,
}

impl<Io: AsyncRead> Operation<Io> for Read<'_, '_> {
    const HALF: Half = Half::Reader;
    type Output = ();

    #[inline(always)]
    fn run(&mut self, io: Pin<&mut Io>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        io.poll_read(cx, self.buf)
    }

    #[inline(always)]
    fn has_moved(&self, (): &()) -> bool {
        self.buf.filled().len() != self.before
    }

    fn judge(&mut self, result: io::Result<()>) -> Result<(), Stop> {
        match result {
            Ok(()) if self.buf.filled().len() != self.before => Ok(()),
            // A read into an empty buffer says nothing about the connection.
            Ok(()) if self.buf.remaining() == 0 => Err(Stop::Nothing),
            Ok(()) => Err(Stop::Eof),
            Err(error) => {
                // What a failed read left there would precede the next connection's bytes.
                self.buf.set_filled(self.before);
                Err(Stop::Error(error))
            }
        }
    }

    #[inline]
    fn answer(stop: Stop) -> io::Result<()> {
        stop.into_nothing()
    }
}

struct Write<'a>(&'a [u8]);

impl<Io: AsyncWrite> Operation<Io> for Write<'_> {
    const HALF: Half = Half::Writer(Phase::Write);
    type Output = usize;

    #[inline(always)]
    fn run(&mut self, io: Pin<&mut Io>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        io.poll_write(cx, self.0)
    }

    #[inline(always)]
    fn has_moved(&self, written: &usize) -> bool {
        *written != 0
    }

    fn judge(&mut self, result: io::Result<usize>) -> Result<usize, Stop> {
        taken(result?, self.0.is_empty())
    }

    #[inline]
    fn answer(stop: Stop) -> io::Result<usize> {
        Err(stop.into_write_error())
    }
}

struct WriteVectored<'a>(&'a [IoSlice<'a>]);

impl<Io: AsyncWrite> Operation<Io> for WriteVectored<'_> {
    const HALF: Half = Half::Writer(Phase::Write);
    type Output = usize;

    #[inline(always)]
    fn run(&mut self, io: Pin<&mut Io>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        io.poll_write_vectored(cx, self.0)
    }

    #[inline(always)]
    fn has_moved(&self, written: &usize) -> bool {
        *written != 0
    }

    fn judge(&mut self, result: io::Result<usize>) -> Result<usize, Stop> {
        taken(result?, self.0.iter().all(|buf| buf.is_empty()))
    }

    #[inline]
    fn answer(stop: Stop) -> io::Result<usize> {
        Err(stop.into_write_error())
    }
}

/// A connection that takes nothing of something takes nothing any more.
fn taken(written: usize, is_empty: bool) -> Result<usize, Stop> {
    if written == 0 && !is_empty {
        return Err(Stop::Error(ErrorKind::WriteZero.into()));
    }
    Ok(written)
}

struct Flush;

impl<Io: AsyncWrite> Operation<Io> for Flush {
    const HALF: Half = Half::Writer(Phase::Flush);
    type Output = ();

    #[inline(always)]
    fn run(&mut self, io: Pin<&mut Io>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        io.poll_flush(cx)
    }

    #[inline(always)]
    fn has_moved(&self, (): &()) -> bool {
        true
    }

    fn judge(&mut self, result: io::Result<()>) -> Result<(), Stop> {
        Ok(result?)
    }

    #[inline]
    fn answer(stop: Stop) -> io::Result<()> {
        stop.into_nothing()
    }
}
