//! Operations: how a stream uses a connection, what comes of that, and what the caller gets.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::ConnectionLost;
use crate::link::shared::{CHANGED, COMMANDS, IDLE, READ_LOSS, SHUTTING_DOWN};
use crate::link::shared::{WRITE_LOSS, WRITER_WAITS};
use crate::link::{Panic, Role, Unavailable};
use crate::policy::{Phase, Verdict};
use crate::seam::Seam;

/// An operation on a connection of bytes.
pub(crate) trait Operation<Io> {
    /// Which half polls it.
    const OP: Op;

    type Output;

    /// Polls it. It may be polled again, on the next connection.
    fn poll(&mut self, io: Pin<&mut Io>, cx: &mut Context<'_>) -> Poll<io::Result<Self::Output>>;

    /// Returns true if it has moved something, so that there is nothing to check.
    fn has_moved(&self, output: &Self::Output) -> bool;

    /// Returns the output, or what a result that moved nothing means for the connection.
    fn check(&mut self, result: io::Result<Self::Output>) -> Result<Self::Output, Failure>;

    /// Returns what the caller gets if nothing can be moved.
    fn on_no_progress(no_progress: NoProgress) -> io::Result<Self::Output>;
}

/// A use of a connection that returns its output, or what its failure means for the connection.
pub(crate) trait Exchange<Io> {
    type Output;

    fn poll(
        &mut self,
        io: Pin<&mut Io>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Output, Failure>>;

    /// Returns true if another poll could make progress. It is asked once the polling task is
    /// registered, and the task is woken if so.
    fn can_progress(&self) -> bool {
        false
    }

    /// Reads what a connection still has before it is dropped, because of a command or of a write
    /// that failed.
    fn before_drop(&mut self, _io: Pin<&mut Io>) {}
}

impl<Io, T, F> Exchange<Io> for F
where
    F: FnMut(Pin<&mut Io>, &mut Context<'_>) -> Poll<Result<T, Failure>>,
{
    type Output = T;

    #[inline]
    fn poll(&mut self, io: Pin<&mut Io>, cx: &mut Context<'_>) -> Poll<Result<T, Failure>> {
        self(io, cx)
    }
}

/// For streams of bytes: nothing is read from a connection before it is dropped.
pub(crate) struct NothingToRead;

impl<Io> Exchange<Io> for NothingToRead {
    type Output = ();

    fn poll(&mut self, _: Pin<&mut Io>, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }
}

/// An operation of one half of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    Write,
    Flush,
    /// Reads for a stream of messages, which has its own queue of seams.
    Receive,
    /// Writes or flushes for a sink of messages. No seam is reported to it, because its queue
    /// continues on the next connection.
    Send,
}

impl Op {
    #[inline]
    pub(crate) const fn role(self) -> Role {
        match self {
            Self::Read | Self::Receive => Role::Read,
            Self::Write | Self::Flush | Self::Send => Role::Write,
        }
    }

    /// Returns where an error of this operation is met.
    pub(super) const fn phase(self) -> Phase {
        match self {
            Self::Read | Self::Receive => Phase::Read,
            Self::Write | Self::Send => Phase::Write,
            Self::Flush => Phase::Flush,
        }
    }

    /// Returns the flags that keep this operation from the fast path.
    #[inline]
    pub(super) const fn slow_flags(self) -> u32 {
        match self {
            Self::Read => COMMANDS | READ_LOSS | IDLE,
            Self::Write | Self::Flush => COMMANDS | WRITE_LOSS | SHUTTING_DOWN,
            Self::Receive => COMMANDS | CHANGED | IDLE,
            Self::Send => COMMANDS | CHANGED | SHUTTING_DOWN | WRITER_WAITS,
        }
    }

    /// Returns the flag of a loss that was not reported to this half.
    pub(super) const fn loss_flag(self) -> u32 {
        match self.role() {
            Role::Read => READ_LOSS,
            Role::Write | Role::Connect => WRITE_LOSS,
        }
    }

    /// Returns what this half gets when it is about to cross a seam.
    pub(super) fn on_seam(self, seam: Seam, lost: ConnectionLost) -> Result<(), NoProgress> {
        match (seam, self) {
            (Seam::Hidden, Self::Read | Self::Write | Self::Flush)
            | (_, Self::Receive | Self::Send) => Ok(()),
            (Seam::Eof, Self::Read) => Err(NoProgress::End),
            (Seam::Error, Self::Read) | (Seam::Error | Seam::Eof, Self::Write | Self::Flush) => {
                Err(NoProgress::Error(lost.into()))
            }
        }
    }

    /// Returns what this half gets once the stream is closed. After a shutdown a flush has nothing
    /// to do; after a close it fails.
    pub(super) fn on_closed(self, is_shutting_down: bool) -> NoProgress {
        match self {
            Self::Read | Self::Receive => NoProgress::End,
            Self::Flush if is_shutting_down => NoProgress::End,
            Self::Write | Self::Flush | Self::Send => {
                NoProgress::Error(closed(ErrorKind::BrokenPipe))
            }
        }
    }
}

/// Why an operation on a connection made no progress.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection's stream has ended.
    Eof,
    /// The operation is over without a loss: it had nothing to do, as a read into an empty buffer,
    /// or the stream has kept its error.
    Done,
    /// The connection failed in this phase. The policy classifies the error.
    Error(Phase, io::Error),
    /// The connection failed with an error that the stream has classified, unless that panicked.
    Classified(Result<Verdict, Panic>, io::Error),
}

/// What a caller gets instead of progress.
#[derive(Debug)]
pub(crate) enum NoProgress {
    /// The end of the stream; nothing to do for an operation that may move nothing.
    End,
    Error(io::Error),
    /// An error of the connection that the policy surfaces and that did not end it, and where it was
    /// met.
    Surfaced(Phase, io::Error),
    /// A connection came or went. A stream of messages processes that and polls again;
    /// [`poll_op`](super::Transfer::poll_op) polls the next connection.
    Changed,
}

impl NoProgress {
    /// Converts to the error of a writer, for whom a stream has no end.
    #[inline]
    pub(crate) fn into_write_error(self) -> io::Error {
        match self {
            Self::Error(error) | Self::Surfaced(_, error) => error,
            Self::End | Self::Changed => ErrorKind::BrokenPipe.into(),
        }
    }

    /// Converts to the result of an operation that may move nothing.
    #[inline]
    pub(crate) fn into_empty(self) -> io::Result<()> {
        match self {
            Self::End | Self::Changed => Ok(()),
            Self::Error(error) | Self::Surfaced(_, error) => Err(error),
        }
    }
}

/// Returns the error of an operation that the end of the stream has made impossible.
pub(crate) fn closed(kind: ErrorKind) -> io::Error {
    io::Error::new(kind, "the stream was closed")
}

impl Unavailable {
    /// Converts to an error; `kind` is for a stream that was closed.
    pub(super) fn into_error(self, kind: ErrorKind) -> io::Error {
        match self {
            Self::GaveUp(gave_up) => gave_up.into(),
            Self::Surfaced(error) => error,
            Self::Closed => closed(kind),
        }
    }
}

#[cfg(test)]
mod tests;
