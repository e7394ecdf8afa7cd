//! The messages that arrive.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::Decoder;
use tokio_util::io::poll_read_buf;

use super::ReconnectingFramed;
use super::connection::Connection;
use super::hand_over::hand_over;
use super::inbox::Inboxes;
use crate::connect::Connect;
use crate::link::{Half, Role, Stop};

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
            if let Some(message) = self.as_mut().next_arrived() {
                return Poll::Ready(message);
            }
            match ready!(self.as_mut().poll_fill(cx)) {
                Ok(()) => {}
                Err(Stop::Eof) => return Poll::Ready(self.last()),
                Err(Stop::Nothing) => return Poll::Ready(None),
                Err(Stop::Error(error) | Stop::Judged(_, error)) => {
                    return Poll::Ready(Some(Err(error.into())));
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
    /// A message, or the news of a seam, that need not be waited for.
    #[inline]
    fn next_arrived(mut self: Pin<&mut Self>) -> Option<Option<Item<U>>> {
        if self.as_mut().project().link.live(Role::Read).is_none() || self.inboxes.is_behind() {
            let news = self.as_mut().next_before_the_seam();
            if news.is_some() {
                return news;
            }
        }
        match self.as_mut().project().inboxes.current_mut()?.decode() {
            Ok(message) => Some(Some(Ok(message?))),
            Err(error) => Some(Some(Err(self.undecodable(error)))),
        }
    }

    /// What is left of connections that are gone, and then the seam.
    #[cold]
    fn next_before_the_seam(mut self: Pin<&mut Self>) -> Option<Option<Item<U>>> {
        self.as_mut().project().link.obey();
        self.as_mut().adopt();
        let this = self.as_mut().project();
        if let Some(message) = this.inboxes.next_past(this.outbox) {
            return Some(Some(message));
        }
        match self.link.hear(Half::Reader) {
            Ok(()) => {
                let this = self.project();
                this.inboxes.catch_up(this.outbox);
                None
            }
            Err(Stop::Eof | Stop::Nothing) => Some(None),
            Err(Stop::Error(error) | Stop::Judged(_, error)) => Some(Some(Err(error.into()))),
        }
    }

    /// Nobody knows where the next message begins: the connection is of no use any more.
    #[cold]
    fn undecodable(mut self: Pin<&mut Self>, error: U::Error) -> U::Error {
        let cause = io::Error::new(io::ErrorKind::InvalidData, "a message could not be decoded");
        // While shutting down the loss would be the caller's to know: it gets the codec's error.
        let _ = self.as_mut().project().link.lose(Role::Read, cause);
        self.project().inboxes.discard();
        error
    }

    /// Reads more bytes, of this connection or the next.
    fn poll_fill(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        let first = self.as_mut().fill_at_once(cx);
        match first {
            Some(Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
            // Whatever wakes this role: see `Link::poll_wait`.
            Some(Poll::Pending) if self.link.can_wait(Role::Read) => Poll::Pending,
            first => self.poll_fill_with_care(cx, first),
        }
    }

    /// Reads from a connection that needs nothing else: the ready path.
    fn fill_at_once(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Option<Poll<Result<(), Stop>>> {
        if self.outbox.is_behind() || !self.is_settled() {
            return None;
        }
        let has_lookout = self.inboxes.has_lookout();
        if has_lookout {
            // Before it looks: what comes later wakes this task.
            self.link.remember(Role::Read, cx);
        }
        let this = self.as_mut().project();
        let connection = this.link.live(Role::Read)?;
        let filled = fill(connection, this.inboxes, cx);
        if filled.is_pending() && !has_lookout {
            self.link.remember(Role::Read, cx);
        }
        Some(filled)
    }

    /// What was accepted before this connection began goes out first: somebody who waits for an
    /// answer need not know that his question has to be sent again. That write wakes everyone,
    /// since it takes the place of a writer that waits. `first` is what the connection has
    /// answered already.
    fn poll_fill_with_care(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        first: Option<Poll<Result<(), Stop>>>,
    ) -> Poll<Result<(), Stop>> {
        let this = self.project();
        let (inboxes, outbox) = (this.inboxes, this.outbox);
        let everyone = outbox.is_behind().then(|| this.link.waker());
        let operation = &mut |mut connection: Pin<&mut Connection<C::Io, U>>,
                              cx: &mut Context<'_>| {
            if let Some(fresh) = connection.as_mut().take_fresh() {
                inboxes.begin(fresh, outbox);
                // It may have come with messages already, and has to catch up.
                return Poll::Ready(Ok(()));
            }
            let handed_over = match &everyone {
                Some(everyone) => {
                    let cx = &mut Context::from_waker(everyone);
                    hand_over(connection.as_mut().pinned(), outbox, cx)
                }
                None => Poll::Pending,
            };
            match (handed_over, fill(connection, inboxes, cx)) {
                // What had arrived before the loss comes first.
                (_, Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
                (Poll::Ready(Err(stop)), _) => Poll::Ready(Err(stop)),
                (_, filled) => filled,
            }
        };
        this.link.poll_judged(Half::Reader, cx, first, operation)
    }

    /// The end of the stream, if the policy passes it on: what the codec makes of the rest.
    fn last(self: Pin<&mut Self>) -> Option<Item<U>> {
        self.project()
            .inboxes
            .current_mut()?
            .decode_eof()
            .transpose()
    }
}

/// Reads. Once a sink has looked, a reader looks as well, so that the sink need not look again:
/// what comes wakes everyone then, and the caller has to be remembered by the link before.
fn fill<Io: AsyncRead, U>(
    connection: Pin<&mut Connection<Io, U>>,
    inboxes: &mut Inboxes<U>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Stop>> {
    let Some((inbox, lookout)) = inboxes.reading_side() else {
        return Poll::Ready(Err(Stop::Nothing));
    };
    let room = inbox.room();
    let read = |cx: &mut Context<'_>| poll_read_buf(connection.pinned(), cx, room);
    let answer = match lookout {
        Some(lookout) => lookout.look(read),
        None => read(cx),
    };
    match ready!(answer)? {
        0 => Poll::Ready(Err(Stop::Eof)),
        _ => {
            inbox.filled();
            Poll::Ready(Ok(()))
        }
    }
}
