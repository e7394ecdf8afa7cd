//! Moves bytes between a connection and its session.

use std::io;
use std::task::{Context, Poll, Waker};

use super::protocol::ProtocolError;
use super::shared::{Inner, Session};
use super::timer::RoundTime;
use super::transport::{self, Connection, broken};

/// The reads, the bytes read and the writes of one exchange, so that neither direction keeps the other
/// one waiting. TLS reads no more than 16 KiB in one call. With half of the bytes and a quarter of the
/// writes the ends wake each other more often, and the throughput is 40 % less (measured).
const READS: usize = 16;
const READ_BYTES: usize = 256 * 1024;
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
    now: &RoundTime,
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
    now: &RoundTime,
) -> io::Result<(Option<usize>, bool)> {
    let epoch = connection.epoch;
    let handle = |bytes: &[u8]| {
        let now = now.get();
        let handled = session.update(|inner| {
            // What arrives after the end is of no use.
            if inner.has_ended() {
                return Ok(());
            }
            let handled = inner.core_mut().handle_input(now, epoch, bytes);
            inner.discard_unread();
            handled
        });
        handled.map_err(broken)
    };
    if !connection.early.is_empty() {
        handle(&std::mem::take(&mut connection.early))?;
    }
    let (mut last, mut bytes) = (None, 0);
    for _ in 0..READS {
        let poll = transport::poll_read(&mut connection.io, cx, |bytes| match bytes.len() {
            0 => Ok(0),
            n => handle(bytes).map(|()| n),
        });
        match poll {
            Poll::Pending => return Ok((last, true)),
            Poll::Ready(read) => match read?? {
                0 if connection.is_shut_down => return Ok((Some(0), true)),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => (last, bytes) = (Some(n), bytes + n),
            },
        }
        if bytes >= READ_BYTES {
            break;
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
        let mut dropped = None;
        let wrote = session.update(|inner| write_batch(inner, connection, cx, &mut dropped));
        // A waker is foreign code: it is dropped without the lock.
        drop(dropped);
        let (written, step) = wrote?;
        if written {
            (has_written, connection.is_unflushed) = (true, true);
        }
        match step {
            Step::More => {}
            Step::Blocked => return Ok((has_written, true)),
            Step::Idle { is_closing } => {
                flush(connection, cx, is_closing)?;
                return Ok((has_written, true));
            }
        }
    }
    Ok((has_written, false))
}

/// What follows a batch of frames.
enum Step {
    More,
    /// The connection takes no more now, and wakes the driver.
    Blocked,
    /// There is nothing to write, and the application wakes the driver.
    Idle {
        is_closing: bool,
    },
}

/// Writes what is to be sent, up to one payload. Returns whether something was written. The driver
/// is registered in the same step that finds nothing more to do, so that no change is missed.
fn write_batch(
    inner: &mut Inner,
    connection: &mut Connection,
    cx: &mut Context<'_>,
    dropped: &mut Option<Waker>,
) -> io::Result<(bool, Step)> {
    // Another thread may just have resumed the session: what is to be sent is not for this
    // connection then.
    if !inner.is_current(connection.epoch) {
        return Err(broken(ProtocolError::StaleConnection));
    }
    inner.tell_of_drop();
    let mut has_written = false;
    loop {
        let Some(transmit) = inner.core_mut().poll_transmit() else {
            let is_closing = inner.core().is_closing();
            *dropped = inner.park_driver(cx, false);
            return Ok((has_written, Step::Idle { is_closing }));
        };
        if has_written {
            return Ok((has_written, Step::More));
        }
        match transport::poll_write(&mut connection.io, cx, transmit.slices) {
            Poll::Ready(written) => inner.core_mut().advance(written?),
            Poll::Pending => {
                *dropped = inner.park_driver(cx, true);
                return Ok((has_written, Step::Blocked));
            }
        }
        has_written = true;
    }
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
