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
use super::write::hand_over;
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
        if self.as_mut().project().link.live(Role::Read).is_none() || self.inboxes.has_past() {
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
        if let Some(message) = self.as_mut().project().inboxes.next_past() {
            return Some(Some(message));
        }
        match self.link.hear(Half::Reader) {
            Ok(()) => None,
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
    ///
    /// What was accepted before this connection began goes out first: somebody who waits for an
    /// answer need not know that his question has to be sent again. That write wakes everyone,
    /// since it takes the place of a writer that waits.
    fn poll_fill(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        let this = self.project();
        let (inboxes, outbox) = (this.inboxes, this.outbox);
        let everyone = outbox.is_behind().then(|| this.link.waker());
        let fill = &mut |mut connection: Pin<&mut Connection<C::Io, U>>, cx: &mut Context<'_>| {
            if let Some(fresh) = connection.as_mut().take_fresh() {
                inboxes.begin(fresh);
                outbox.begin();
                // It may have come with messages already, and has to catch up.
                return Poll::Ready(Ok(()));
            }
            if let Some(everyone) = &everyone {
                let cx = &mut Context::from_waker(everyone);
                if let Poll::Ready(result) = hand_over(connection.as_mut().pinned(), outbox, cx) {
                    result?;
                }
            }
            inboxes.disturb();
            let Some(inbox) = inboxes.current_mut() else {
                return Poll::Ready(Err(Stop::Nothing));
            };
            match ready!(poll_read_buf(connection.pinned(), cx, inbox.room()))? {
                0 => Poll::Ready(Err(Stop::Eof)),
                _ => {
                    inbox.filled();
                    Poll::Ready(Ok(()))
                }
            }
        };
        this.link.poll_judged(Half::Reader, cx, None, fill)
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
