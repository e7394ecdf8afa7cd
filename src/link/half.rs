//! The two halves of a stream, and what each answers where there is nothing to move.

use std::io::{self, ErrorKind};

use super::{Halt, Role};
use crate::error::ConnectionLost;
use crate::policy::{Phase, Verdict};
use crate::seam::Seam;

/// How an operation ends when it moved nothing.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The connection has ended.
    Eof,
    /// There is nothing to do: to read into an empty buffer or at a seam that looks like an end,
    /// to read or to flush once the stream is closed.
    Nothing,
    Error(io::Error),
    /// An error that was judged already.
    Judged(Verdict, io::Error),
}

impl Stop {
    /// A writer knows no end of the stream.
    #[inline]
    pub(crate) fn into_write_error(self) -> io::Error {
        match self {
            Self::Error(error) => error,
            Self::Judged(_, error) => error,
            Self::Eof | Self::Nothing => ErrorKind::BrokenPipe.into(),
        }
    }
}

impl Stop {
    /// For an operation that may move nothing.
    #[inline]
    pub(crate) fn into_nothing(self) -> io::Result<()> {
        match self {
            Self::Eof | Self::Nothing => Ok(()),
            Self::Error(error) => Err(error),
            Self::Judged(_, error) => Err(error),
        }
    }
}

impl From<io::Error> for Stop {
    #[inline]
    fn from(error: io::Error) -> Self {
        Self::Error(error)
    }
}

/// A half of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Half {
    Reader,
    /// The phase is for the judgement of an error.
    Writer(Phase),
    /// A writer to whom no seam matters: what it has accepted goes on.
    Sink,
}

impl Half {
    #[inline]
    pub(super) fn role(self) -> Role {
        match self {
            Self::Reader => Role::Read,
            Self::Writer(_) | Self::Sink => Role::Write,
        }
    }

    pub(super) fn phase(self) -> Phase {
        match self {
            Self::Reader => Phase::Read,
            Self::Writer(phase) => phase,
            Self::Sink => Phase::Write,
        }
    }

    /// What this half answers once the stream is closed. A flush has nothing to do after a
    /// shutdown, and something to complain of after a close.
    pub(super) fn closed(self, is_finishing: bool) -> Stop {
        match self {
            Self::Reader => Stop::Nothing,
            Self::Writer(Phase::Flush) if is_finishing => Stop::Nothing,
            Self::Writer(_) | Self::Sink => Stop::Error(closed(ErrorKind::BrokenPipe)),
        }
    }

    /// Whether a shutdown has made this operation impossible.
    pub(super) fn is_finished_by_shutdown(self) -> bool {
        matches!(self, Self::Writer(Phase::Write) | Self::Sink)
    }

    /// What this half answers when it is about to cross a seam.
    pub(super) fn crossing(self, seam: Seam, lost: ConnectionLost) -> Result<(), Stop> {
        match (seam, self) {
            (Seam::Hidden, Self::Reader | Self::Writer(_)) | (_, Self::Sink) => Ok(()),
            (Seam::Eof, Self::Reader) => Err(Stop::Nothing),
            (Seam::Error, Self::Reader) | (Seam::Error | Seam::Eof, Self::Writer(_)) => {
                Err(Stop::Error(lost.into()))
            }
        }
    }
}

fn closed(kind: ErrorKind) -> io::Error {
    io::Error::new(kind, "the stream was closed")
}

impl Halt {
    /// `kind` is for a stream that was closed.
    pub(crate) fn into_error(self, kind: ErrorKind) -> io::Error {
        match self {
            Self::GaveUp(gave_up) => gave_up.into(),
            Self::Surfaced(error) => error,
            Self::Closed => closed(kind),
        }
    }
}
