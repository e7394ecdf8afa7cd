//! The pump: moves bytes between the core and the connection, whichever task polls.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use super::connector::Connection;
use super::core::Core;
use super::recv_buffer::READ_AHEAD;
use super::send_buffer::SendBuffer;
use crate::policy::Phase;
use crate::transfer::{Exchange, Failure, Op, Readiness};

/// One run of the pump on a connection.
///
/// Both directions are polled with the waker of [`Readiness`], and only while they may be ready.
pub(super) struct Pump<'a, U> {
    pub(super) op: Op,
    pub(super) core: &'a mut Core<U>,
    pub(super) readiness: &'a Readiness,
    /// The end of the connection's stream is a loss.
    pub(super) ends_at_eof: bool,
    /// Bytes have arrived.
    pub(super) has_read: bool,
}

impl<'a, U> Pump<'a, U> {
    /// Returns a pump for which the end of the connection's stream is a loss.
    #[inline]
    pub(super) fn new(op: Op, core: &'a mut Core<U>, readiness: &'a Readiness) -> Self {
        Self {
            op,
            core,
            readiness,
            ends_at_eof: true,
            has_read: false,
        }
    }
}

impl<U> Pump<'_, U> {
    fn wants_read(&self) -> bool {
        match self.op {
            Op::Receive | Op::Read => self.core.recv.current().is_some(),
            Op::Send | Op::Write | Op::Flush => self.core.recv.may_read_ahead(),
        }
    }

    /// Returns whether the reading direction is wanted and may be ready.
    pub(super) fn may_read(&self) -> bool {
        self.wants_read() && self.readiness.read().is_ready()
    }

    /// A reader writes the backlog from before the connection began, so that a task that only
    /// waits for replies has its requests sent again.
    fn wants_write(&self) -> bool {
        let is_wanted = match self.op {
            Op::Receive | Op::Read => self.core.send.has_backlog(),
            Op::Send | Op::Write | Op::Flush => true,
        };
        is_wanted
            && self.core.generation().is_some()
            && !self.core.send.is_flushed()
            && !self.core.has_send_error()
    }

    /// Reads: once for a reader that has nothing to write, as far ahead as allowed otherwise,
    /// because a write after the peer's FIN succeeds and is lost.
    #[inline]
    pub(super) fn poll_read<Io: AsyncRead>(
        &mut self,
        mut io: Pin<&mut Io>,
    ) -> Poll<Result<(), Failure>> {
        while self.may_read() {
            let Poll::Ready(read) = self.poll_read_some(io.as_mut(), READ_AHEAD) else {
                break;
            };
            if read? == 0 {
                if let Some(buffer) = self.core.recv.current_mut() {
                    buffer.on_end();
                }
                return if self.ends_at_eof || self.op == Op::Receive {
                    Poll::Ready(Err(Failure::Eof))
                } else {
                    Poll::Pending
                };
            }
            let reads_once = self.op == Op::Receive && !self.core.send.has_backlog();
            if reads_once || !self.core.recv.may_read_ahead() {
                break;
            }
        }
        if self.has_read && self.op == Op::Receive {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Polls the reading direction once. What is read ahead of the reader ends at `limit`.
    #[inline]
    fn poll_read_some<Io: AsyncRead>(
        &mut self,
        io: Pin<&mut Io>,
        limit: usize,
    ) -> Poll<Result<usize, Failure>> {
        let Some(buffer) = self.core.recv.current_mut() else {
            return Poll::Pending;
        };
        let direction = self.readiness.read();
        direction.clear();
        let cx = &mut self.readiness.context();
        let is_ahead = self.op != Op::Receive || self.has_read;
        let result = ready!(if is_ahead {
            let limit = limit.saturating_sub(buffer.bytes().len()).max(1);
            poll_read_buf(io, cx, &mut buffer.room().limit(limit))
        } else {
            poll_read_buf(io, cx, buffer.room())
        });
        direction.set();
        if let Ok(1..) = result {
            buffer.on_read();
            self.has_read = true;
        }
        Poll::Ready(result.map_err(|error| Failure::Error(Phase::Read, error)))
    }

    /// Writes and flushes, if there is something to write.
    #[inline]
    pub(super) fn poll_write<Io: AsyncWrite>(
        &mut self,
        io: Pin<&mut Io>,
    ) -> Poll<Result<(), Failure>> {
        if !self.wants_write() || !self.readiness.write().is_ready() {
            return Poll::Pending;
        }
        let written = ready!(write_out(io, &mut self.core.send, self.readiness));
        Poll::Ready(written.map_err(|(phase, error)| {
            self.readiness.write().set();
            Failure::Error(phase, error)
        }))
    }

    /// Reads what the kernel still has of a connection that is lost, as far as the limits of what
    /// waits for the reader allow. A write fails with a reset while bytes that came before it can
    /// still be read (measured on Linux).
    ///
    /// After a transient error bytes may still be there, and bytes may arrive while it reads: it
    /// tries again, a few times.
    fn drain<Io: AsyncRead>(&mut self, mut io: Pin<&mut Io>) {
        let mut tries = 3;
        while self.core.recv.may_drain() && tries > 0 {
            match self.poll_read_some(io.as_mut(), usize::MAX) {
                Poll::Ready(Ok(0)) => break,
                Poll::Pending if !self.readiness.read().is_ready() => break,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) | Poll::Pending => tries -= 1,
            }
        }
    }
}

impl<Io: AsyncRead + AsyncWrite, U> Exchange<Connection<Io, U>> for Pump<'_, U> {
    type Output = ();

    /// Ready if anything was moved that the polling half may wait for.
    fn poll(
        &mut self,
        connection: Pin<&mut Connection<Io, U>>,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let mut io = connection.io_pin_mut();
        let read = self.poll_read(io.as_mut())?;
        let written = self.poll_write(io)?;
        match (read, written) {
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn can_progress(&self) -> bool {
        (self.op == Op::Send && self.core.confirms.has_pending())
            || self.may_read()
            || (self.wants_write() && self.readiness.write().is_ready())
    }

    fn before_drop(&mut self, connection: Pin<&mut Connection<Io, U>>) {
        self.drain(connection.io_pin_mut());
    }
}

/// Writes what is queued, and flushes.
#[inline]
fn write_out<Io: AsyncWrite>(
    mut io: Pin<&mut Io>,
    send: &mut SendBuffer,
    readiness: &Readiness,
) -> Poll<Result<(), (Phase, io::Error)>> {
    let cx = &mut readiness.context();
    readiness.write().clear();
    while !send.unwritten().is_empty() {
        match ready!(io.as_mut().poll_write(cx, send.unwritten())) {
            Ok(0) => return Poll::Ready(Err((Phase::Write, ErrorKind::WriteZero.into()))),
            Ok(n) => send.advance(n),
            Err(error) => return Poll::Ready(Err((Phase::Write, error))),
        }
    }
    ready!(io.poll_flush(cx)).map_err(|error| (Phase::Flush, error))?;
    readiness.write().set();
    send.on_flushed();
    Poll::Ready(Ok(()))
}
