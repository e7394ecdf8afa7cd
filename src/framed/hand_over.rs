//! Handing over what was accepted, and the look at the reading side that goes before it.

use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use super::connection::Connection;
use super::inbox::Inboxes;
use super::outbox::Outbox;
use crate::link::Stop;

/// A write after the peer's FIN succeeds and is lost, so the reading side is looked at first.
///
/// The look takes the place of a reader that waits, so it is told to wake everyone; and it may
/// take bytes that the reader waits for.
pub(super) fn look_ahead<Io: AsyncRead, U>(
    mut connection: Pin<&mut Connection<Io, U>>,
    inboxes: &mut Inboxes<U>,
) -> Result<bool, Stop> {
    let mut has_read = false;
    while inboxes.may_read_ahead() {
        let Some((inbox, Some(lookout))) = inboxes.reading_side() else {
            break;
        };
        let read = |cx: &mut Context<'_>| {
            let io = connection.as_mut().pinned();
            poll_read_buf(io, cx, inbox.room())
        };
        match lookout.look(read) {
            Poll::Pending => break,
            Poll::Ready(Ok(0)) => return Err(Stop::Eof),
            Poll::Ready(Ok(_)) => {
                inbox.filled();
                lookout.wake_everyone();
                has_read = true;
            }
            Poll::Ready(Err(error)) => return Err(Stop::Error(error)),
        }
    }
    Ok(has_read)
}

/// Hands over. If that meets the loss, what had arrived before it is taken: a write is told of a
/// reset while bytes that came before it can still be read (measured on Linux).
#[inline]
pub(super) fn hand_over_or_look<Io: AsyncRead + AsyncWrite, U>(
    mut connection: Pin<&mut Connection<Io, U>>,
    inboxes: &mut Inboxes<U>,
    outbox: &mut Outbox,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Stop>> {
    let handed_over = hand_over(connection.as_mut().pinned(), outbox, cx);
    if let Poll::Ready(Err(_)) = handed_over {
        // Why it ends is known.
        let _ = look_ahead(connection, inboxes);
    }
    handed_over
}

/// Writes and flushes the rest.
pub(super) fn hand_over<Io: AsyncWrite>(
    mut io: Pin<&mut Io>,
    outbox: &mut Outbox,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Stop>> {
    while !outbox.rest().is_empty() {
        match ready!(io.as_mut().poll_write(cx, outbox.rest()))? {
            0 => return Poll::Ready(Err(Stop::Error(ErrorKind::WriteZero.into()))),
            n => outbox.take(n),
        }
    }
    ready!(io.poll_flush(cx))?;
    outbox.flushed();
    Poll::Ready(Ok(()))
}
