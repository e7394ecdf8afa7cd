//! `AsyncRead` and `AsyncWrite` of the stream.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::reconnecting_stream::ReconnectingStream;
use crate::connect::Connect;
use crate::policy::Phase;
use crate::transfer::{Failure, NoProgress, Op, Operation};

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
        self.project().transfer.poll_io(cx, Read { buf, before })
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
        self.project().transfer.poll_io(cx, Write(buf))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().transfer.poll_io(cx, WriteVectored(bufs))
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        self.get_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().transfer.poll_io(cx, Flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shutdown = &mut |io: Pin<&mut C::Io>, cx: &mut Context<'_>| {
            io.poll_shutdown(cx).map_err(Failure::of_shutdown)
        };
        self.project().transfer.poll_shutdown(cx, shutdown)
    }
}

struct Read<'a, 'b> {
    buf: &'a mut ReadBuf<'b>,
    /// The length of the filled part of `buf` before the read.
    before: usize,
}

impl<Io: AsyncRead> Operation<Io> for Read<'_, '_> {
    const OP: Op = Op::Read;
    type Output = ();

    #[inline(always)]
    fn poll(&mut self, io: Pin<&mut Io>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        io.poll_read(cx, self.buf)
    }

    #[inline(always)]
    fn has_moved(&self, (): &()) -> bool {
        self.buf.filled().len() != self.before
    }

    fn check(&mut self, result: io::Result<()>) -> Result<(), Failure> {
        match result {
            Ok(()) if self.buf.filled().len() != self.before => Ok(()),
            // A read into an empty buffer says nothing about the connection.
            Ok(()) if self.buf.remaining() == 0 => Err(Failure::Done),
            Ok(()) => Err(Failure::Eof),
            Err(error) => {
                // Bytes that a failed read left there would precede the next connection's.
                self.buf.set_filled(self.before);
                Err(Failure::Error(Phase::Read, error))
            }
        }
    }

    #[inline]
    fn on_no_progress(no_progress: NoProgress) -> io::Result<()> {
        no_progress.into_empty()
    }
}

struct Write<'a>(&'a [u8]);

impl<Io: AsyncWrite> Operation<Io> for Write<'_> {
    const OP: Op = Op::Write;
    type Output = usize;

    #[inline(always)]
    fn poll(&mut self, io: Pin<&mut Io>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        io.poll_write(cx, self.0)
    }

    #[inline(always)]
    fn has_moved(&self, written: &usize) -> bool {
        *written != 0
    }

    fn check(&mut self, result: io::Result<usize>) -> Result<usize, Failure> {
        check_write(result, self.0.is_empty())
    }

    #[inline]
    fn on_no_progress(no_progress: NoProgress) -> io::Result<usize> {
        Err(no_progress.into_write_error())
    }
}

struct WriteVectored<'a>(&'a [IoSlice<'a>]);

impl<Io: AsyncWrite> Operation<Io> for WriteVectored<'_> {
    const OP: Op = Op::Write;
    type Output = usize;

    #[inline(always)]
    fn poll(&mut self, io: Pin<&mut Io>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        io.poll_write_vectored(cx, self.0)
    }

    #[inline(always)]
    fn has_moved(&self, written: &usize) -> bool {
        *written != 0
    }

    fn check(&mut self, result: io::Result<usize>) -> Result<usize, Failure> {
        check_write(result, self.0.iter().all(|buf| buf.is_empty()))
    }

    #[inline]
    fn on_no_progress(no_progress: NoProgress) -> io::Result<usize> {
        Err(no_progress.into_write_error())
    }
}

/// Returns the result of a write. One that accepted none of its bytes is an error: no more will be
/// accepted.
fn check_write(result: io::Result<usize>, is_empty: bool) -> Result<usize, Failure> {
    match result {
        Ok(0) if !is_empty => Err(Failure::Error(Phase::Write, ErrorKind::WriteZero.into())),
        Ok(written) => Ok(written),
        Err(error) => Err(Failure::Error(Phase::Write, error)),
    }
}

struct Flush;

impl<Io: AsyncWrite> Operation<Io> for Flush {
    const OP: Op = Op::Flush;
    type Output = ();

    #[inline(always)]
    fn poll(&mut self, io: Pin<&mut Io>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        io.poll_flush(cx)
    }

    #[inline(always)]
    fn has_moved(&self, (): &()) -> bool {
        true
    }

    fn check(&mut self, result: io::Result<()>) -> Result<(), Failure> {
        result.map_err(|error| Failure::Error(Phase::Flush, error))
    }

    #[inline]
    fn on_no_progress(no_progress: NoProgress) -> io::Result<()> {
        no_progress.into_empty()
    }
}
