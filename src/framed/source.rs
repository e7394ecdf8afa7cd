//! The messages that arrive.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::Decoder;

use super::pump::Pump;
use super::reconnecting_framed::ReconnectingFramed;
use super::recv_queue::Received;
use crate::connect::Connect;
use crate::error::ConnectionLost;
use crate::link::{Role, State};
use crate::seam::Seam;
use crate::transfer::{NoProgress, Op};

type Item<U> = Result<<U as Decoder>::Item, <U as Decoder>::Error>;

impl<C, U> Stream for ReconnectingFramed<C, U>
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite,
    U: Decoder,
{
    type Item = Item<U>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.as_mut().next_buffered() {
                Received::Item(item) => return Poll::Ready(Some(item)),
                Received::Nothing => {}
                Received::End => return Poll::Ready(None),
                Received::Seam(lost) => match self.on_seam(lost) {
                    Some(item) => return Poll::Ready(item),
                    None => continue,
                },
                Received::FinalLoss(lost) => {
                    return Poll::Ready(Some(Err(lost.into_final_error().into())));
                }
            }
            match ready!(self.as_mut().poll_fill(cx)) {
                Ok(()) | Err(NoProgress::Changed) => {}
                Err(NoProgress::Error(error) | NoProgress::Surfaced(_, error)) => {
                    return Poll::Ready(Some(Err(error.into())));
                }
                Err(NoProgress::End) => {
                    self.as_mut().sync();
                    if !self.core.recv.has_more() {
                        return Poll::Ready(None);
                    }
                }
            }
        }
    }
}

impl<C, U> ReconnectingFramed<C, U>
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite,
    U: Decoder,
{
    /// Returns the next item or seam that need not be waited for.
    #[inline]
    fn next_buffered(mut self: Pin<&mut Self>) -> Received<Item<U>> {
        let this = self.as_mut().project();
        if !this.core.recv.is_up_to_date() || !this.transfer.is_unchanged() {
            return self.next_buffered_slow();
        }
        match this.core.recv.next_current() {
            Received::Item(Ok(item)) => Received::Item(Ok(item)),
            Received::Nothing if !this.core.recv.has_error() => Received::Nothing,
            received => self.on_received(received),
        }
    }

    #[cold]
    fn next_buffered_slow(mut self: Pin<&mut Self>) -> Received<Item<U>> {
        self.as_mut().execute_command(Op::Receive);
        self.as_mut().sync();
        let core = self.as_mut().project().core;
        let (recv, confirms, send) = (&mut core.recv, &mut core.confirms, &mut core.send);
        let is_current = recv.is_up_to_date();
        let received = recv.next(|written| confirms.move_to(written, send));
        if is_current || self.core.recv.is_up_to_date() {
            return self.on_received(received);
        }
        received
    }

    /// Handles what the current connection's codec returned, if it is not an item.
    #[cold]
    fn on_received(mut self: Pin<&mut Self>, received: Received<Item<U>>) -> Received<Item<U>> {
        let this = self.as_mut().project();
        match received {
            // An error of `decode_eof` is followed by the end.
            Received::Item(Err(error)) if this.core.recv.is_at_end() => Received::Item(Err(error)),
            Received::Item(Err(error)) => Received::Item(Err(self.on_decode_error(error))),
            Received::Nothing => match this.core.recv.take_error() {
                Some(error) => {
                    // A sender that stopped reading ahead because of it continues.
                    this.transfer.wake_all_but(Role::Read);
                    Received::Item(Err(error.into()))
                }
                None => Received::Nothing,
            },
            received => received,
        }
    }

    /// Drops the connection, since nothing tells where its next message begins.
    #[cold]
    fn on_decode_error(self: Pin<&mut Self>, error: U::Error) -> U::Error {
        let this = self.project();
        this.core.recv.discard_current();
        let cause = io::Error::new(io::ErrorKind::InvalidData, "a message could not be decoded");
        // The reader gets the codec's error now, and the seam's after it.
        let _ = this.transfer.lose(Some(Op::Receive), cause);
        error
    }

    /// Returns what the reader gets at a seam, if anything.
    #[expect(
        clippy::option_option,
        reason = "the inner one is the end of the stream"
    )]
    fn on_seam(&self, lost: ConnectionLost) -> Option<Option<Item<U>>> {
        let is_last = self.core.recv.is_empty();
        match self.state() {
            // Giving up takes the place of the last seam. It is returned now, because a handle may
            // start the stream again before the next poll.
            State::GaveUp if is_last && lost.dropped_bytes == 0 => {
                let gave_up = self.transfer.gave_up().cloned();
                return gave_up.map(|gave_up| Some(Err(io::Error::from(gave_up).into())));
            }
            // No connection replaces the one that was lost. An end of the stream would look as if
            // everything had been read.
            State::Closed if is_last && self.transfer.is_shutting_down() => {
                return Some(Some(Err(lost.into_final_error().into())));
            }
            State::Connected { .. }
            | State::Detached
            | State::Backoff { .. }
            | State::Connecting { .. }
            | State::GaveUp
            | State::Closed => {}
        }
        match self.transfer.seam() {
            Seam::Hidden => None,
            Seam::Error => Some(Some(Err(io::Error::from(lost).into()))),
            Seam::Eof => Some(None),
        }
    }

    /// Reads more bytes.
    #[inline]
    fn poll_fill(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), NoProgress>> {
        if self.core.send.has_backlog() {
            return self.poll_pump(Op::Receive, cx);
        }
        let this = self.as_mut().project();
        let mut transfer = this.transfer;
        let Some(connection) = transfer.as_mut().fast_path(Op::Receive) else {
            return self.poll_pump(Op::Receive, cx);
        };
        // There is nothing to do but to read.
        let mut pump = Pump::new(Op::Receive, this.core, this.readiness);
        match pump.poll_read(connection.io_pin_mut()) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(failure)) => Poll::Ready(self.on_failure(Op::Receive, failure)),
            Poll::Pending => {
                let read = this.readiness.read();
                if !transfer.register_and_check(Op::Receive, cx.waker(), || read.is_ready()) {
                    return Poll::Pending;
                }
                self.poll_pump(Op::Receive, cx)
            }
        }
    }
}
