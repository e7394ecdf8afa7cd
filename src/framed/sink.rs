//! The messages to send.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Decoder, Encoder};

use super::drive::{Goal, refused};
use super::pump::Pump;
use super::reconnecting_framed::{FramedTransfer, ReconnectingFramed};
use super::send_buffer::Durability;
use crate::connect::Connect;
use crate::transfer::{Exchange, Failure, NoProgress, Op};

impl<C, U, I> Sink<I> for ReconnectingFramed<C, U>
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite,
    U: Decoder + Encoder<I>,
{
    type Error = <U as Encoder<I>>::Error;

    /// Ready while there is room, with a connection or without.
    #[inline]
    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_room(Durability::Durable, cx).map_err(Into::into)
    }

    #[inline]
    fn start_send(self: Pin<&mut Self>, message: I) -> Result<(), Self::Error> {
        self.accept(Durability::Durable, message)
    }

    /// Ready when everything was written to a connection and flushed.
    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_flushed(cx).map_err(Into::into)
    }

    /// Sends everything, then shuts the connection down. No other one follows. During an outage
    /// with nothing to send the stream ends immediately.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_closed(cx).map_err(Into::into)
    }
}

impl<C, U> ReconnectingFramed<C, U>
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite,
{
    #[inline]
    pub(super) fn poll_room(
        mut self: Pin<&mut Self>,
        durability: Durability,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let may_push = durability == Durability::Durable && self.core.send.may_push();
        if may_push && self.transfer.may_use_fast_path(Op::Send) {
            return Poll::Ready(Ok(()));
        }
        // Room is made by writing.
        if self.core.generation().is_some()
            && !self.core.send.has_room(durability)
            && self.as_mut().try_flush()?
            && durability == Durability::Durable
            && self.core.send.may_push()
        {
            return Poll::Ready(Ok(()));
        }
        self.poll_goal(Goal::Room(durability), cx)
    }

    #[inline]
    pub(super) fn poll_flushed(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self.as_mut().try_flush() {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => self.poll_goal(Goal::Flushed, cx),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Writes and flushes on a connection that needs nothing else. Returns false if
    /// [`poll_goal`](Self::poll_goal) has to be polled.
    #[inline]
    fn try_flush(mut self: Pin<&mut Self>) -> io::Result<bool> {
        let this = self.as_mut().project();
        if this.core.confirms.has_pending()
            || this.core.has_send_error()
            || this.core.recv.is_failing()
        {
            return Ok(false);
        }
        let ends_at_eof = !this.transfer.policy().passes_eof();
        let Some(connection) = this.transfer.fast_path(Op::Send) else {
            return Ok(false);
        };
        let mut io = connection.io_pin_mut();
        let mut pump = Pump {
            ends_at_eof,
            ..Pump::new(Op::Send, this.core, this.readiness)
        };
        // The end of the connection has to be seen before the write, which it would swallow.
        if let Poll::Ready(Err(failure)) = pump.poll_read(io.as_mut()) {
            return self.on_write_failure(failure);
        }
        let has_read = pump.has_read;
        match pump.poll_write(io) {
            Poll::Ready(Ok(())) => {
                self.on_pumped(Op::Send, has_read);
                Ok(true)
            }
            Poll::Ready(Err(failure)) => self.on_write_failure(failure),
            Poll::Pending => {
                self.as_mut().on_pumped(Op::Send, has_read);
                Ok(self.core.send.is_flushed())
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn on_write_failure(mut self: Pin<&mut Self>, failure: Failure) -> io::Result<bool> {
        // What was read before it is the reader's.
        self.as_mut().on_pumped(Op::Send, true);
        match self.on_failure(Op::Send, failure) {
            Ok(()) | Err(NoProgress::Changed) => Ok(false),
            Err(no_progress) => Err(no_progress.into_write_error()),
        }
    }
}

impl<C, U> ReconnectingFramed<C, U>
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite,
{
    /// Accepts a message. It is encoded by the codec of the current connection.
    #[inline]
    pub(super) fn accept<I>(
        mut self: Pin<&mut Self>,
        durability: Durability,
        message: I,
    ) -> Result<(), <U as Encoder<I>>::Error>
    where
        U: Encoder<I>,
    {
        if self.core.recv.current().is_none() {
            return self.accept_slow(durability, message);
        }
        let mut guard = PanicGuard(self.as_mut());
        let core = guard.0.as_mut().project().core;
        let (recv, send) = (&mut core.recv, &mut core.send);
        let pushed = match recv.current_mut() {
            Some(buffer) => send.push(durability, |bytes| {
                buffer.codec_mut().encode(message, bytes)
            }),
            None => Ok(()),
        };
        std::mem::forget(guard);
        pushed
    }

    /// Accepts a message while there is no connection, or the link has changed.
    #[cold]
    #[inline(never)]
    fn accept_slow<I>(
        mut self: Pin<&mut Self>,
        durability: Durability,
        message: I,
    ) -> Result<(), <U as Encoder<I>>::Error>
    where
        U: Encoder<I>,
    {
        self.as_mut().sync();
        let this = self.as_mut().project();
        this.transfer.check_open()?;
        if this.core.is_refusing(durability) {
            return Err(refused().into());
        }
        if this.core.generation().is_none() && durability == Durability::Transient {
            // It belongs to a connection that has ended.
            return Ok(());
        }
        this.core.make_room(durability);
        let codecs = Arc::clone(this.codecs);
        let mut guard = PanicGuard(self.as_mut());
        let core = guard.0.as_mut().project().core;
        let (recv, send) = (&mut core.recv, &mut core.send);
        let pushed = match recv.current_mut() {
            Some(buffer) => send.push(durability, |bytes| {
                buffer.codec_mut().encode(message, bytes)
            }),
            None => send.push(durability, |bytes| codecs().encode(message, bytes)),
        };
        std::mem::forget(guard);
        pushed
    }

    /// Drops the connection, since its codec is in an unknown state.
    #[cold]
    fn on_encoder_panic(mut self: Pin<&mut Self>) {
        let cause = io::Error::new(io::ErrorKind::InvalidData, "the codec panicked");
        self.as_mut()
            .drop_connection(|transfer| transfer.mark_lost(cause));
    }

    /// Reads what the connection still has, then calls `command`, which drops it.
    pub(super) fn drop_connection(
        mut self: Pin<&mut Self>,
        command: impl FnOnce(Pin<&mut FramedTransfer<C, U>>),
    ) {
        self.as_mut().sync();
        let this = self.as_mut().project();
        let mut transfer = this.transfer;
        if let Some(connection) = transfer.as_mut().connection() {
            let mut pump = Pump::new(Op::Receive, this.core, this.readiness);
            pump.before_drop(connection);
        }
        command(transfer);
        self.sync();
    }
}

/// Drops the connection if the encoder panics. Nothing is caught while it does not.
struct PanicGuard<'a, C, U>(Pin<&'a mut ReconnectingFramed<C, U>>)
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite;

impl<C, U> Drop for PanicGuard<'_, C, U>
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite,
{
    fn drop(&mut self) {
        // A second panic, of an observer, must not leave this destructor.
        let framed = self.0.as_mut();
        let _ = catch_unwind(AssertUnwindSafe(|| framed.on_encoder_panic()));
    }
}
