//! One operation of one half, over however many connections it takes.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{ReconnectingStream, Seam};
use crate::connect::Connect;
use crate::error::ConnectionLost;
use crate::link::{Halt, Role};
use crate::policy::Phase;

/// How an operation ends when it moved nothing.
#[derive(Debug)]
pub(super) enum Stop {
    /// The end of the stream: nothing to read any more, nothing left to flush.
    Eof,
    Error(io::Error),
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

/// A half of the stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Half {
    Reader,
    /// What it does, for the judgement of an error.
    Writer(Phase),
}

impl Half {
    #[inline]
    fn role(self) -> Role {
        match self {
            Self::Reader => Role::Read,
            Self::Writer(_) => Role::Write,
        }
    }

    fn phase(self) -> Phase {
        match self {
            Self::Reader => Phase::Read,
            Self::Writer(phase) => phase,
        }
    }

    /// What this half answers once the stream is closed. A flush has nothing to do after a
    /// shutdown, and something to complain of after a close.
    fn closed(self, is_finishing: bool) -> Stop {
        match self {
            Self::Reader => Stop::Eof,
            Self::Writer(Phase::Flush) if is_finishing => Stop::Eof,
            Self::Writer(_) => Stop::Error(closed(ErrorKind::BrokenPipe)),
        }
    }

    /// Whether a shutdown has made this operation impossible.
    fn is_finished_by_shutdown(self) -> bool {
        matches!(self, Self::Writer(Phase::Write))
    }

    /// What this half answers when it is about to cross a seam.
    fn crossing(self, seam: Seam, lost: ConnectionLost) -> Result<(), Stop> {
        match (seam, self) {
            (Seam::Hidden, Self::Reader | Self::Writer(_)) => Ok(()),
            (Seam::Eof, Self::Reader) => Err(Stop::Eof),
            (Seam::Error, Self::Reader) | (Seam::Error | Seam::Eof, Self::Writer(_)) => {
                Err(Stop::Error(lost.into()))
            }
        }
    }
}

pub(super) fn closed(kind: ErrorKind) -> io::Error {
    io::Error::new(kind, "the stream was closed")
}

impl<C: Connect> ReconnectingStream<C> {
    /// Runs `op` on the connection. While all is well that is all it does.
    #[inline]
    pub(super) fn poll_io<T>(
        mut self: Pin<&mut Self>,
        half: Half,
        cx: &mut Context<'_>,
        mut op: impl FnMut(Pin<&mut C::Io>, &mut Context<'_>) -> Poll<Result<T, Stop>>,
    ) -> Poll<Result<T, Stop>> {
        let first = match self.as_mut().project().link.live(half.role()) {
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
                    match self.as_mut().project().link.connection() {
                        Some(io) => op(io, cx),
                        None => continue,
                    }
                }
            };
            match answer {
                Poll::Ready(Ok(moved)) => {
                    self.link.stop_idling();
                    return Poll::Ready(Ok(moved));
                }
                Poll::Ready(Err(stop)) => self.as_mut().stopped(half, stop)?,
                // Whatever wakes this role: see `poll_wait`.
                Poll::Pending => {
                    ready!(self.as_mut().project().link.poll_wait(half.role(), cx))?;
                }
            }
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
        self.as_mut().project().link.obey();
        if half.is_finished_by_shutdown() && self.link.is_finishing() {
            return Poll::Ready(Err(half.closed(true)));
        }
        loop {
            if let Some(lost) = self.link.take_news(role) {
                half.crossing(self.seam, lost)?;
            }
            // Whatever wakes this role: see `poll_connected`.
            let connected = self.as_mut().project().link.poll_connected(role, cx);
            // A command that came meanwhile may have dropped a connection.
            if !self.link.has_news(role) {
                return connected
                    .map_ok(|_generation| ())
                    .map_err(|halt| match halt {
                        Halt::GaveUp(gave_up) => Stop::Error(gave_up.into()),
                        Halt::Surfaced(error) => Stop::Error(error),
                        Halt::Closed => half.closed(self.link.is_finishing()),
                    });
            }
        }
    }

    /// The connection has moved nothing. `Ok` to go on with the next one.
    fn stopped(mut self: Pin<&mut Self>, half: Half, stop: Stop) -> Result<(), Stop> {
        let error = match stop {
            Stop::Eof if self.link.policy().passes_eof() => return Err(Stop::Eof),
            Stop::Eof if self.link.is_finishing() => {
                self.end_of_conversation();
                return Err(Stop::Eof);
            }
            Stop::Eof => {
                let lost = ErrorKind::UnexpectedEof.into();
                return Ok(self.project().link.lose(lost)?);
            }
            Stop::Error(error) => error,
        };
        Ok(self.as_mut().project().link.fail(error, half.phase())?)
    }

    /// The peer has finished, and the user is finishing: when both have, nothing is left to do.
    fn end_of_conversation(self: Pin<&mut Self>) {
        if self.link.is_finished() {
            self.project().link.close();
        }
    }

    /// Shuts down the writing side, for good.
    pub(super) fn poll_finish(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        shutdown: Shutdown<C::Io>,
    ) -> Poll<io::Result<()>> {
        loop {
            self.as_mut().project().link.obey();
            if self.link.is_finished() {
                return Poll::Ready(Ok(()));
            }
            self.as_mut().hear_before_finishing()?;
            self.as_mut().project().link.finish();
            let Some(io) = self.as_mut().project().link.connection() else {
                return Poll::Ready(
                    self.link
                        .gave_up()
                        .map_or(Ok(()), |error| Err(error.into())),
                );
            };
            match shutdown(io, cx) {
                Poll::Ready(Ok(())) => self.link.finished(),
                Poll::Ready(Err(error)) => {
                    let result = self.as_mut().project().link.fail(error, Phase::Flush);
                    let hidden = self.seam == Seam::Hidden && self.link.is_closed();
                    return Poll::Ready(if hidden { Ok(()) } else { result });
                }
                // Whatever wakes this role: see `poll_wait`.
                Poll::Pending => {
                    ready!(self.as_mut().project().link.poll_wait(Role::Write, cx))?;
                }
            }
        }
    }

    /// A writer that shuts down a connection is told first that its bytes went to another one.
    fn hear_before_finishing(mut self: Pin<&mut Self>) -> io::Result<()> {
        if self.as_mut().project().link.connection().is_none() {
            return Ok(());
        }
        match self.link.take_news(Role::Write) {
            Some(lost) if self.seam != Seam::Hidden => Err(lost.into()),
            Some(_) | None => Ok(()),
        }
    }
}
