//! One operation of one half, over however many connections it takes.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{Halt, Link, Role};
use crate::connect::Connect;
use crate::error::ConnectionLost;
use crate::policy::Phase;
use crate::seam::Seam;

/// How an operation ends when it moved nothing.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The connection has ended.
    Eof,
    /// There is nothing to do: to read at a seam that looks like an end, to read or to flush
    /// once the stream is closed.
    Nothing,
    Error(io::Error),
}

impl Stop {
    /// A writer knows no end of the stream.
    pub(crate) fn into_write_error(self) -> io::Error {
        match self {
            Self::Error(error) => error,
            Self::Eof | Self::Nothing => ErrorKind::BrokenPipe.into(),
        }
    }
}

impl From<io::Error> for Stop {
    #[inline]
    fn from(error: io::Error) -> Self {
        Self::Error(error)
    }
}

/// Something to do with a connection. It may be called again, on the next one.
type Operation<'a, Io, T> = dyn FnMut(Pin<&mut Io>, &mut Context<'_>) -> Poll<Result<T, Stop>> + 'a;

type Shutdown<Io> = fn(Pin<&mut Io>, &mut Context<'_>) -> Poll<io::Result<()>>;

/// A half of a stream, and what it wants to know of a seam.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Half {
    Reader(Seam),
    /// The phase is for the judgement of an error.
    Writer(Phase, Seam),
}

impl Half {
    #[inline]
    fn role(self) -> Role {
        match self {
            Self::Reader(_) => Role::Read,
            Self::Writer(..) => Role::Write,
        }
    }

    fn phase(self) -> Phase {
        match self {
            Self::Reader(_) => Phase::Read,
            Self::Writer(phase, _) => phase,
        }
    }

    /// What this half answers once the stream is closed. A flush has nothing to do after a
    /// shutdown, and something to complain of after a close.
    fn closed(self, is_finishing: bool) -> Stop {
        match self {
            Self::Reader(_) => Stop::Nothing,
            Self::Writer(Phase::Flush, _) if is_finishing => Stop::Nothing,
            Self::Writer(..) => Stop::Error(closed(ErrorKind::BrokenPipe)),
        }
    }

    /// Whether a shutdown has made this operation impossible.
    fn is_finished_by_shutdown(self) -> bool {
        matches!(self, Self::Writer(Phase::Write, _))
    }

    /// What this half answers when it is about to cross a seam.
    pub(crate) fn crossing(self, lost: ConnectionLost) -> Result<(), Stop> {
        match self {
            Self::Reader(Seam::Hidden) | Self::Writer(_, Seam::Hidden) => Ok(()),
            Self::Reader(Seam::Eof) => Err(Stop::Nothing),
            Self::Reader(Seam::Error) | Self::Writer(_, Seam::Error | Seam::Eof) => {
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

impl<C: Connect> Link<C> {
    /// Runs `op` on the connection. While all is well that is all it does.
    #[inline]
    pub(crate) fn poll_io<T>(
        mut self: Pin<&mut Self>,
        half: Half,
        cx: &mut Context<'_>,
        mut op: impl FnMut(Pin<&mut C::Io>, &mut Context<'_>) -> Poll<Result<T, Stop>>,
    ) -> Poll<Result<T, Stop>> {
        let first = match self.as_mut().live(half.role()) {
            Some(io) => match op(io, cx) {
                Poll::Ready(Ok(moved)) => return Poll::Ready(Ok(moved)),
                other => Some(other),
            },
            None => None,
        };
        self.poll_io_again(half, cx, first, &mut op)
    }

    /// `first` is what the connection has answered already.
    #[cold]
    fn poll_io_again<T>(
        mut self: Pin<&mut Self>,
        half: Half,
        cx: &mut Context<'_>,
        mut first: Option<Poll<Result<T, Stop>>>,
        op: &mut Operation<'_, C::Io, T>,
    ) -> Poll<Result<T, Stop>> {
        loop {
            let answer = match first.take() {
                Some(answer) => answer,
                None => {
                    ready!(self.as_mut().poll_crossing(half, cx))?;
                    match self.as_mut().connection() {
                        Some(io) => op(io, cx),
                        None => continue,
                    }
                }
            };
            match answer {
                Poll::Ready(Ok(moved)) => {
                    self.moved(half);
                    return Poll::Ready(Ok(moved));
                }
                Poll::Ready(Err(stop)) => self.as_mut().stopped(half, stop)?,
                // Whatever wakes this role: see `poll_wait`.
                Poll::Pending => {
                    ready!(self.as_mut().poll_wait(half.role(), cx))?;
                }
            }
        }
    }

    fn moved(&self, half: Half) {
        match half {
            Half::Reader(_) => self.stop_idling(),
            Half::Writer(..) => {}
        }
    }

    /// Waits until there is a connection that this half may use: it has heard of every loss
    /// before it, if it wants to.
    fn poll_crossing(
        mut self: Pin<&mut Self>,
        half: Half,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Stop>> {
        let role = half.role();
        self.as_mut().obey();
        if half.is_finished_by_shutdown() && self.is_finishing() {
            return Poll::Ready(Err(half.closed(true)));
        }
        loop {
            if let Some(lost) = self.take_news(role) {
                half.crossing(lost)?;
            }
            // Whatever wakes this role: see `poll_connected`.
            let connected = self.as_mut().poll_connected(role, cx);
            // A command that came meanwhile may have dropped a connection.
            if !self.has_news(role) {
                return connected
                    .map_ok(|_generation| ())
                    .map_err(|halt| match halt {
                        Halt::Closed => half.closed(self.is_finishing()),
                        Halt::GaveUp(_) | Halt::Surfaced(_) => {
                            Stop::Error(halt.into_error(ErrorKind::BrokenPipe))
                        }
                    });
            }
        }
    }

    /// The connection has moved nothing. `Ok` to go on with the next one.
    fn stopped(mut self: Pin<&mut Self>, half: Half, stop: Stop) -> Result<(), Stop> {
        let error = match stop {
            Stop::Eof if self.policy().passes_eof() => return Err(Stop::Eof),
            Stop::Eof if self.is_finishing() => {
                self.end_of_conversation();
                return Err(Stop::Eof);
            }
            Stop::Eof => {
                let lost = ErrorKind::UnexpectedEof.into();
                return Ok(self.lose(half.role(), lost)?);
            }
            Stop::Nothing => return Err(Stop::Nothing),
            Stop::Error(error) => error,
        };
        Ok(self.as_mut().fail(error, half.phase())?)
    }

    /// The peer has finished, and the user is finishing: when both have, nothing is left to do.
    fn end_of_conversation(self: Pin<&mut Self>) {
        if self.is_finished() {
            self.close();
        }
    }

    /// Shuts down the writing side, for good.
    pub(crate) fn poll_finish(
        mut self: Pin<&mut Self>,
        seam: Seam,
        cx: &mut Context<'_>,
        shutdown: Shutdown<C::Io>,
    ) -> Poll<io::Result<()>> {
        loop {
            self.as_mut().obey();
            if self.is_finished() {
                return Poll::Ready(Ok(()));
            }
            self.hear_before_finishing(seam)?;
            self.as_mut().finish();
            let Some(io) = self.as_mut().connection() else {
                return Poll::Ready(self.gave_up().map_or(Ok(()), |error| Err(error.into())));
            };
            match shutdown(io, cx) {
                Poll::Ready(Ok(())) => self.finished(),
                Poll::Ready(Err(error)) => {
                    let result = self.as_mut().fail(error, Phase::Flush);
                    let hidden = seam == Seam::Hidden && self.is_closed();
                    return Poll::Ready(if hidden { Ok(()) } else { result });
                }
                // Whatever wakes this role: see `poll_wait`.
                Poll::Pending => {
                    ready!(self.as_mut().poll_wait(Role::Write, cx))?;
                }
            }
        }
    }

    /// A writer that wants to know is told first that its bytes may not have arrived. It can
    /// send them again, or shut down all the same.
    fn hear_before_finishing(&self, seam: Seam) -> io::Result<()> {
        match self.take_news(Role::Write) {
            Some(lost) if seam != Seam::Hidden => Err(lost.into()),
            Some(_) | None => Ok(()),
        }
    }
}
