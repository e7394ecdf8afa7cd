//! Streams with a planted flaw.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

use crate::suite::Pair;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    LosesAByte,
    EndsEarly,
    IgnoresSlices,
    KeepsWhatADroppedWriteHad,
    DropsWhatADroppedReadHad,
    ForgetsWakers,
    KeepsTheFirstReader,
    KeepsTheFirstWriter,
    WakesTheLastTaskOnly,
    AcceptsAfterTheEnd,
    EndsOnce,
    NeverFlushes,
    EndsBothDirections,
    EndsForAnEmptyWrite,
    FailsTheSecondShutdown,
}

pub(crate) struct Broken {
    io: DuplexStream,
    flaw: Flaw,
    moved: usize,
    polls: usize,
    ended: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The waker of a task that is not woken: the poll looks as if it kept it.
    kept: Option<Waker>,
}

impl Broken {
    pub(crate) fn pair(flaw: Flaw) -> Pair {
        let (near, far) = duplex(4096);
        let of = |io| Self {
            io,
            flaw,
            moved: 0,
            polls: 0,
            ended: false,
            reader: None,
            writer: None,
            kept: None,
        };
        Pair::of(of(near), of(far))
    }

    fn read_flawless(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }

    /// Polls a read with another waker than the one of the task.
    fn read_as(&mut self, waker: &Waker, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(&mut Context::from_waker(waker), buf)
    }

    /// Reads, and changes what was read before the reader gets it.
    fn read_lossy(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.read_flawless(cx, buf))?;
        let read = buf.filled().len() - before;
        self.moved += read;
        if read > 1 && self.moved > 1000 {
            self.moved = 0;
            buf.set_filled(before + read - 1);
        }
        Poll::Ready(Ok(()))
    }

    /// Is pending after it has taken a byte, every few polls.
    fn read_forgetful(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.polls += 1;
        if self.polls % 7 == 0 {
            let mut lost = [0; 1];
            ready!(self.read_flawless(cx, &mut ReadBuf::new(&mut lost)))?;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.read_flawless(cx, buf)
    }

    fn read_as_the_first(
        &mut self,
        cx: &Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let first = self.reader.take().unwrap_or_else(|| cx.waker().clone());
        let polled = self.read_as(&first, buf);
        if polled.is_pending() {
            (self.reader, self.kept) = (Some(first), Some(cx.waker().clone()));
        }
        polled
    }

    fn write_as_the_first(&mut self, cx: &Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let first = self.writer.take().unwrap_or_else(|| cx.waker().clone());
        let polled = Pin::new(&mut self.io).poll_write(&mut Context::from_waker(&first), buf);
        if polled.is_pending() {
            (self.writer, self.kept) = (Some(first), Some(cx.waker().clone()));
        }
        polled
    }

    /// A writer that waits is woken for what there is to read.
    fn read_as_the_writer(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = self.read_flawless(cx, buf);
        if let (Poll::Pending, Some(writer)) = (&polled, self.writer.clone()) {
            self.kept = Some(cx.waker().clone());
            drop(self.read_as(&writer, &mut ReadBuf::new(&mut [0])));
        }
        polled
    }

    /// A writer that waits takes the place of the reader.
    fn write_as_the_reader(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        if polled.is_pending() {
            self.writer = Some(cx.waker().clone());
            drop(self.read_as(cx.waker(), &mut ReadBuf::new(&mut [0])));
        }
        polled
    }

    /// Tells the end once.
    fn read_one_end(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ended {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        let before = buf.filled().len();
        ready!(self.read_flawless(cx, buf))?;
        self.ended = buf.filled().len() == before && buf.remaining() > 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Broken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.flaw {
            Flaw::LosesAByte => self.read_lossy(cx, buf),
            Flaw::DropsWhatADroppedReadHad => self.read_forgetful(cx, buf),
            Flaw::ForgetsWakers => self.read_as(Waker::noop(), buf),
            Flaw::KeepsTheFirstReader => self.read_as_the_first(cx, buf),
            Flaw::WakesTheLastTaskOnly => self.read_as_the_writer(cx, buf),
            Flaw::EndsEarly => match self.read_flawless(cx, buf) {
                Poll::Pending => Poll::Ready(Ok(())),
                polled => polled,
            },
            Flaw::EndsOnce => self.read_one_end(cx, buf),
            Flaw::EndsBothDirections if self.ended => Poll::Ready(Ok(())),
            _ => self.read_flawless(cx, buf),
        }
    }
}

impl AsyncWrite for Broken {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.flaw {
            Flaw::AcceptsAfterTheEnd if self.ended => Poll::Ready(Ok(buf.len())),
            Flaw::EndsForAnEmptyWrite if buf.is_empty() => {
                Pin::new(&mut self.io).poll_shutdown(cx).map_ok(|()| 0)
            }
            Flaw::KeepsWhatADroppedWriteHad => {
                self.polls += 1;
                let polled = Pin::new(&mut self.io).poll_write(cx, buf);
                if polled.is_ready() && self.polls % 2 == 0 {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                polled
            }
            Flaw::KeepsTheFirstWriter => self.write_as_the_first(cx, buf),
            Flaw::WakesTheLastTaskOnly => self.write_as_the_reader(cx, buf),
            _ => Pin::new(&mut self.io).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.flaw != Flaw::IgnoresSlices {
            return Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty());
        let total = bufs.iter().map(|buf| buf.len()).sum();
        let written = self.poll_write(cx, first.map_or(&[], |buf| buf));
        written.map_ok(|_| total)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.flaw {
            Flaw::NeverFlushes => Poll::Pending,
            _ => Pin::new(&mut self.io).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.polls += 1;
        match self.flaw {
            Flaw::FailsTheSecondShutdown if self.polls > 1 => {
                Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
            }
            Flaw::EndsOnce => Pin::new(&mut self.io).poll_shutdown(cx),
            _ => {
                self.ended = true;
                Pin::new(&mut self.io).poll_shutdown(cx)
            }
        }
    }
}
