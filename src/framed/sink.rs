//! The messages to send.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Decoder, Encoder};

use super::ReconnectingFramed;
use super::pump::{Goal, Pump, refused};
use super::send_buffer::Kind;
use crate::connect::Connect;
use crate::transfer::{Exchange, Op};

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
        self.poll_room(Kind::Lasting, cx).map_err(Into::into)
    }

    #[inline]
    fn start_send(self: Pin<&mut Self>, message: I) -> Result<(), Self::Error> {
        self.accept(Kind::Lasting, message)
    }

    /// Ready when everything was written to a connection and flushed.
    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_flushed(cx).map_err(Into::into)
    }

    /// Sends everything, then shuts the connection down for good. During an outage with nothing to
    /// send the stream ends immediately.
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
        kind: Kind,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.as_mut().project();
        let is_usable = this.transfer.fast_path(Op::Send).is_some();
        if is_usable && this.core.send.has_room(kind) && !this.core.has_send_error() {
            return Poll::Ready(Ok(()));
        }
        self.poll_goal(Goal::Room(kind), cx)
    }

    #[inline]
    pub(super) fn poll_flushed(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.as_mut().try_flush() {
            return Poll::Ready(Ok(()));
        }
        self.poll_goal(Goal::Flushed, cx)
    }

    /// Writes and flushes on a connection that needs nothing else: the fast path. Returns false to
    /// take the slow one.
    #[inline]
    fn try_flush(self: Pin<&mut Self>) -> bool {
        let this = self.project();
        if this.core.acks.has_pending() || this.core.has_send_error() {
            return false;
        }
        let mut transfer = this.transfer;
        let ends_at_eof = !transfer.policy().passes_eof();
        let Some(connection) = transfer.as_mut().fast_path(Op::Send) else {
            return false;
        };
        let mut pump = Pump {
            op: Op::Send,
            core: this.core,
            readiness: this.readiness,
            ends_at_eof,
            failed_in: None,
        };
        pump.try_write(connection.io_pin_mut())
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
        kind: Kind,
        message: I,
    ) -> Result<(), <U as Encoder<I>>::Error>
    where
        U: Encoder<I>,
    {
        let this = self.as_mut().project();
        if this.transfer.fast_path(Op::Send).is_some() {
            if let Some(buffer) = this.core.recv.current_mut() {
                let codec = buffer.codec_mut();
                let encode = |bytes: &mut BytesMut| codec.encode(message, bytes);
                let push = AssertUnwindSafe(|| this.core.send.push(kind, encode));
                return catch_unwind(push).unwrap_or_else(|panic| {
                    self.on_encoder_panic();
                    resume_unwind(panic)
                });
            }
        }
        self.accept_slow(kind, message)
    }

    /// Accepts a message while there is no connection, or the link has changed.
    #[cold]
    #[inline(never)]
    fn accept_slow<I>(
        mut self: Pin<&mut Self>,
        kind: Kind,
        message: I,
    ) -> Result<(), <U as Encoder<I>>::Error>
    where
        U: Encoder<I>,
    {
        self.as_mut().sync();
        let this = self.as_mut().project();
        this.transfer.check_open()?;
        if this.core.is_refusing(kind) {
            return Err(refused().into());
        }
        if this.core.generation().is_none() && kind == Kind::Transient {
            // It belongs to a connection that is gone.
            return Ok(());
        }
        this.core.make_room(kind);
        let (recv, send) = (&mut this.core.recv, &mut this.core.send);
        let codecs = Arc::clone(this.codecs);
        let push = AssertUnwindSafe(|| match recv.current_mut() {
            Some(buffer) => send.push(kind, |bytes| buffer.codec_mut().encode(message, bytes)),
            None => send.push(kind, |bytes| codecs().encode(message, bytes)),
        });
        catch_unwind(push).unwrap_or_else(|panic| {
            self.on_encoder_panic();
            resume_unwind(panic)
        })
    }

    /// Drops the connection, since its codec is in an unknown state.
    #[cold]
    fn on_encoder_panic(mut self: Pin<&mut Self>) {
        let cause = io::Error::new(io::ErrorKind::InvalidData, "the codec panicked");
        self.as_mut()
            .drop_connection(|transfer| transfer.mark_lost(cause));
    }

    /// Runs the pump's last look at the connection, and what drops it.
    pub(super) fn drop_connection(
        mut self: Pin<&mut Self>,
        drop: impl FnOnce(Pin<&mut super::FramedTransfer<C, U>>),
    ) {
        self.as_mut().sync();
        let this = self.as_mut().project();
        let mut transfer = this.transfer;
        if let Some(connection) = transfer.as_mut().connection() {
            let mut pump = Pump::new(Op::Receive, this.core, this.readiness);
            pump.before_drop(connection);
        }
        drop(transfer);
        self.sync();
    }
}
