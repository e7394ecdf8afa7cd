//! The messages to send.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Decoder, Encoder};

use super::ReconnectingFramed;
use super::connection::Connection;
use super::hand_over::{hand_over_or_look, look_ahead};
use crate::connect::Connect;
use crate::link::{Half, Role, Stop};

impl<C, U, I> Sink<I> for ReconnectingFramed<C, U>
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite,
    U: Decoder + Encoder<I>,
{
    type Error = <U as Encoder<I>>::Error;

    /// Ready while there is room, connection or not.
    #[inline]
    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.as_mut().project().link.live(Role::Write).is_some() && self.outbox.has_room() {
            return Poll::Ready(Ok(()));
        }
        self.poll_room(cx).map_err(Into::into)
    }

    #[inline]
    fn start_send(mut self: Pin<&mut Self>, message: I) -> Result<(), Self::Error> {
        if self.is_settled() {
            let this = self.as_mut().project();
            if let Some(inbox) = this.inboxes.current_mut() {
                return this
                    .outbox
                    .push(|buffer| inbox.codec_mut().encode(message, buffer));
            }
        }
        self.accept_with_care(message)
    }

    /// Ready when everything was handed to a connection.
    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match self.as_mut().hand_over_at_once(cx) {
            Some(Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
            first => self.poll_flush_on(cx, first).map_err(Into::into),
        }
    }

    /// Hands everything over, then shuts the connection down, for good. With nothing to hand
    /// over, an outage ends here.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if !self.link.is_finishing() && self.has_work() {
            ready!(self.as_mut().poll_hand_over(cx, None))?;
            self.link.forget(Role::Write);
        }
        let shut = self
            .project()
            .link
            .poll_finish(Half::Sink, cx, |connection, cx| {
                connection.pinned().poll_shutdown(cx)
            });
        shut.map_err(Into::into)
    }
}

impl<C, U> ReconnectingFramed<C, U>
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite,
    U: Decoder,
{
    /// Accepts a message for a connection that is not there, or that nobody has used yet.
    #[cold]
    #[inline(never)]
    fn accept_with_care<I>(
        mut self: Pin<&mut Self>,
        message: I,
    ) -> Result<(), <U as Encoder<I>>::Error>
    where
        U: Encoder<I>,
    {
        self.as_mut().adopt();
        let this = self.project();
        let (inboxes, codecs) = (this.inboxes, this.codecs);
        this.outbox.push(|buffer| match inboxes.current_mut() {
            Some(inbox) => inbox.codec_mut().encode(message, buffer),
            None => codecs().encode(message, buffer),
        })
    }

    /// Makes room by handing over what there is, or waits for it.
    #[cold]
    fn poll_room(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.as_mut().hand_over_at_once(cx) {
            Some(Poll::Ready(Ok(()))) if self.outbox.has_room() => Poll::Ready(Ok(())),
            None | Some(Poll::Ready(Ok(()))) => self.poll_room_of(cx, None),
            first => self.poll_room_of(cx, first),
        }
    }

    /// Waits for room: for the connection to take bytes, or for confirmations. `first` is what
    /// the connection has answered already.
    fn poll_room_of(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        first: Option<Poll<Result<(), Stop>>>,
    ) -> Poll<io::Result<()>> {
        // Before the confirmations are looked at: one that comes later wakes this task.
        self.link.remember(Role::Write, cx);
        if first.is_none() {
            self.as_mut().project().link.obey();
            self.link.check_open()?;
            self.as_mut().project().outbox.apply_confirmations();
            if self.outbox.has_room() {
                return Poll::Ready(Ok(()));
            }
        }
        // Whatever wakes this role: see `Link::poll_io`.
        let _ = self.as_mut().poll_hand_over(cx, first)?;
        if self.outbox.has_room() {
            self.link.forget(Role::Write);
            return Poll::Ready(Ok(()));
        }
        // If all was handed over, only confirmations can make room, and they wake this task; so
        // does the end of the connection, since the look ahead is told to wake everyone.
        Poll::Pending
    }

    /// Whether something that was accepted has not been handed to the current connection.
    fn has_work(&self) -> bool {
        let is_fresh = self.link.get_ref().is_none_or(Connection::is_fresh);
        !self.outbox.rest().is_empty() || (is_fresh && self.outbox.len() > 0)
    }

    /// Whether there is nothing to hand over, and no connection to flush.
    fn is_idle(&self) -> bool {
        self.outbox.len() == 0 && self.link.get_ref().is_none() && self.link.check_open().is_ok()
    }

    /// Hands over what was accepted, if nothing has to be seen to first: the ready path.
    ///
    /// It spares a look at the reading side that would find nothing. Whatever comes wakes
    /// everyone, as it does after that look.
    #[inline]
    fn hand_over_at_once(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Option<Poll<Result<(), Stop>>> {
        if self.outbox.has_confirmations() || self.outbox.is_behind() || !self.is_settled() {
            return None;
        }
        if !self.inboxes.are_quiet() {
            if let Err(stop) = self.as_mut().look()? {
                return Some(Poll::Ready(Err(stop)));
            }
        }
        let this = self.project();
        let connection = this.link.live(Role::Write)?;
        Some(hand_over_or_look(connection, this.inboxes, this.outbox, cx))
    }

    /// Looks at the reading side of a connection that need not be judged otherwise.
    #[inline(never)]
    fn look(self: Pin<&mut Self>) -> Option<Result<(), Stop>> {
        let mut this = self.project();
        let ends = !this.link.policy().passes_eof();
        let connection = this.link.as_mut().live(Role::Write)?;
        if !this.inboxes.has_lookout() {
            return None;
        }
        match look_ahead(connection, this.inboxes) {
            Err(Stop::Eof) if !ends => Some(Ok(())),
            Err(stop) => Some(Err(stop)),
            Ok(has_read) => {
                if has_read {
                    this.link.stop_idling();
                }
                Some(Ok(()))
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn poll_flush_on(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        first: Option<Poll<Result<(), Stop>>>,
    ) -> Poll<io::Result<()>> {
        if first.is_none() && self.is_idle() {
            return Poll::Ready(Ok(()));
        }
        let handed_over = self.as_mut().poll_hand_over(cx, first);
        if handed_over.is_ready() {
            self.link.forget(Role::Write);
        }
        handed_over
    }

    /// Hands what was accepted to this connection, or to the next. `first` is what the connection
    /// has answered already.
    ///
    /// It leaves this task remembered, since what comes after the look has to wake it if it waits
    /// for room. A caller that waits for nothing forgets it: what comes for the reader is no
    /// business of it.
    #[cold]
    #[inline(never)]
    fn poll_hand_over(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        first: Option<Poll<Result<(), Stop>>>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let (mut link, inboxes, outbox) = (this.link, this.inboxes, this.outbox);
        link.remember(Role::Write, cx);
        // What came before this task was remembered has woken others only: look again.
        let first = first.filter(|first| first.is_ready() || inboxes.are_quiet());
        outbox.apply_confirmations();
        inboxes.make_lookout(|| link.waker());
        let ends = !link.policy().passes_eof() && !link.is_finishing();
        let everyone = link.waker();
        let mut has_read = false;
        let handed_over =
            link.as_mut()
                .poll_judged(Half::Sink, cx, first, &mut |mut connection, cx| {
                    if let Some(fresh) = connection.as_mut().take_fresh() {
                        inboxes.begin(fresh, outbox);
                    }
                    match look_ahead(connection.as_mut(), inboxes) {
                        Err(Stop::Eof) if !ends => {}
                        looked => has_read |= looked?,
                    }
                    if outbox.is_behind() {
                        // A reader may wait for this write as well.
                        let cx = &mut Context::from_waker(&everyone);
                        return hand_over_or_look(connection, inboxes, outbox, cx);
                    }
                    hand_over_or_look(connection, inboxes, outbox, cx)
                });
        if has_read {
            link.stop_idling();
        }
        // Of a message that was on its way until now.
        outbox.apply_confirmations();
        handed_over.map_err(Stop::into_write_error)
    }
}
