//! Moves bytes between a connection and its session.

use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use super::shared::Session;
use super::transport::{self, Connection, broken};

/// The reads and the writes of one exchange, so that neither direction keeps the other one waiting.
const READS: usize = 4;
const WRITES: usize = 16;

/// What an exchange with the connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exchanged {
    /// There may be more to read or to write.
    More,
    /// The connection has the driver's waker for everything that it may still do.
    Waits { moved: bool },
    /// The session has ended, and the connection has nothing more to deliver.
    Closed,
}

/// Reads what has arrived, and writes what is to be sent.
pub(super) fn exchange(
    connection: &mut Connection,
    session: &Session,
    cx: &mut Context<'_>,
    now: Instant,
) -> io::Result<Exchanged> {
    let (read, is_read_waiting) = read(connection, session, cx, now)?;
    let (written, is_write_waiting) = write(connection, session, cx)?;
    if connection.is_shut_down && read == Some(0) {
        return Ok(Exchanged::Closed);
    }
    if is_read_waiting && is_write_waiting {
        let moved = read.is_some() || written;
        Ok(Exchanged::Waits { moved })
    } else {
        Ok(Exchanged::More)
    }
}

/// Returns the length of the last read, and whether the connection has no more now.
fn read(
    connection: &mut Connection,
    session: &Session,
    cx: &mut Context<'_>,
    now: Instant,
) -> io::Result<(Option<usize>, bool)> {
    let epoch = connection.epoch;
    let handle = |bytes: &[u8]| {
        let handled = session.update(|inner| {
            let handled = inner.core_mut().handle_input(now, epoch, bytes);
            inner.discard_unread();
            handled
        });
        handled.map_err(broken)
    };
    if !connection.early.is_empty() {
        handle(&std::mem::take(&mut connection.early))?;
    }
    let mut last = None;
    for _ in 0..READS {
        let poll = transport::poll_read(&mut connection.io, cx, |bytes| match bytes.len() {
            0 => Ok(0),
            // What arrives after the end is of no use.
            n if session.lock().has_ended() => Ok(n),
            n => handle(bytes).map(|()| n),
        });
        match poll {
            Poll::Pending => return Ok((last, true)),
            Poll::Ready(read) => match read?? {
                0 if connection.is_shut_down => return Ok((Some(0), true)),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => last = Some(n),
            },
        }
    }
    Ok((last, false))
}

/// Returns whether something was written, and whether there is no more to write now.
fn write(
    connection: &mut Connection,
    session: &Session,
    cx: &mut Context<'_>,
) -> io::Result<(bool, bool)> {
    let mut has_written = false;
    for _ in 0..WRITES {
        let step = session.update(|inner| {
            inner.tell_of_drop();
            let Some(transmit) = inner.core_mut().poll_transmit() else {
                let is_closing = inner.core().is_closing();
                let dropped = inner.park_driver(cx, false);
                return Poll::Ready((Ok(None), is_closing, dropped));
            };
            match transport::poll_write(&mut connection.io, cx, transmit.slices) {
                Poll::Ready(written) => {
                    let written = written.inspect(|n| inner.core_mut().advance(*n));
                    Poll::Ready((written.map(Some), false, None))
                }
                Poll::Pending => {
                    drop(inner.park_driver(cx, true));
                    Poll::Pending
                }
            }
        });
        let Poll::Ready((written, is_closing, _dropped)) = step else {
            return Ok((has_written, true));
        };
        match written? {
            Some(_) => (has_written, connection.is_unflushed) = (true, true),
            None => {
                flush(connection, cx, is_closing)?;
                return Ok((has_written, true));
            }
        }
    }
    Ok((has_written, false))
}

/// Flushes what was written, and shuts the connection down once its session has ended.
fn flush(connection: &mut Connection, cx: &mut Context<'_>, is_closing: bool) -> io::Result<()> {
    if connection.is_unflushed {
        match connection.io.as_mut().poll_flush(cx)? {
            Poll::Ready(()) => connection.is_unflushed = false,
            Poll::Pending => return Ok(()),
        }
    }
    if is_closing && !connection.is_shut_down {
        if let Poll::Ready(shut_down) = connection.io.as_mut().poll_shutdown(cx) {
            shut_down?;
            connection.is_shut_down = true;
            // A peer that has closed already is seen by another read.
            cx.waker().wake_by_ref();
        }
    }
    Ok(())
}
