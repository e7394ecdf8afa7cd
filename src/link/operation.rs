//! One operation of one half, over however many connections it takes.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::half::{Half, Stop};
use super::{Halt, Link, Role};
use crate::connect::Connect;
use crate::policy::Phase;
use crate::seam::Seam;

/// Something to do with a connection.
pub(crate) trait Operation<Io> {
    /// Who does it.
    const HALF: Half;

    type Output;

    /// Does it. It may be called again, on the next connection.
    fn run(&mut self, io: Pin<&mut Io>, cx: &mut Context<'_>) -> Poll<io::Result<Self::Output>>;

    /// Whether it has moved something, so that there is nothing to judge.
    fn has_moved(&self, output: &Self::Output) -> bool;

    /// What it means for the connection that nothing was moved.
    fn judge(&mut self, result: io::Result<Self::Output>) -> Result<Self::Output, Stop>;

    /// What its caller gets if nothing can be moved.
    fn answer(stop: Stop) -> io::Result<Self::Output>;
}

/// An operation that judges for itself.
type Judged<'a, Io, T> = dyn FnMut(Pin<&mut Io>, &mut Context<'_>) -> Poll<Result<T, Stop>> + 'a;

type Shutdown<Io> = fn(Pin<&mut Io>, &mut Context<'_>) -> Poll<io::Result<()>>;

impl<C: Connect> Link<C> {
    /// Runs an operation on the connection. While all is well that is all it does.
    ///
    /// The answers of the cold path are of another type, so that the compiler does not lead the
    /// ready path through their conversion: `benches/instructions.rs` counts what it makes of it.
    #[inline]
    pub(crate) fn poll_io<O: Operation<C::Io>>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut operation: O,
    ) -> Poll<io::Result<O::Output>> {
        let answer = match self.as_mut().live(O::HALF.role()) {
            Some(io) => match operation.run(io, cx) {
                Poll::Ready(Ok(output)) => {
                    if operation.has_moved(&output) {
                        return Poll::Ready(Ok(output));
                    }
                    self.look_again(Poll::Ready(Ok(output)), cx, operation)
                }
                first => self.look_again(first, cx, operation),
            },
            None => self.look_around(cx, operation),
        };
        answer.map(|result| result.or_else(O::answer))
    }

    /// Goes on after the connection has answered something that has to be judged. `Pending` is
    /// ended by whatever wakes this role: see `poll_wait`.
    #[cold]
    #[inline(never)]
    fn look_again<O: Operation<C::Io>>(
        self: Pin<&mut Self>,
        first: Poll<io::Result<O::Output>>,
        cx: &mut Context<'_>,
        mut operation: O,
    ) -> Poll<Result<O::Output, Stop>> {
        if first.is_pending() {
            self.remember(O::HALF.role(), cx);
            if self.can_wait(O::HALF.role()) {
                return Poll::Pending;
            }
        }
        let first = first.map(|result| operation.judge(result));
        self.poll_judged(O::HALF, cx, Some(first), &mut |io, cx| {
            operation.run(io, cx).map(|result| operation.judge(result))
        })
    }

    /// Goes on when there is no connection, or something else to see to first.
    #[cold]
    #[inline(never)]
    fn look_around<O: Operation<C::Io>>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut operation: O,
    ) -> Poll<Result<O::Output, Stop>> {
        self.poll_judged(O::HALF, cx, None, &mut |io, cx| {
            operation.run(io, cx).map(|result| operation.judge(result))
        })
    }

    /// Runs an operation on the connection, if there is one that this half may use, or on the
    /// next, and the next. `first` is what the connection has answered already.
    pub(crate) fn poll_judged<T>(
        mut self: Pin<&mut Self>,
        half: Half,
        cx: &mut Context<'_>,
        mut first: Option<Poll<Result<T, Stop>>>,
        operation: &mut Judged<'_, C::Io, T>,
    ) -> Poll<Result<T, Stop>> {
        loop {
            let answer = match first.take() {
                Some(answer) => answer,
                None => {
                    ready!(self.as_mut().poll_crossing(half, cx))?;
                    match self.as_mut().connection() {
                        Some(io) => operation(io, cx),
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
            Half::Reader => self.stop_idling(),
            Half::Writer(_) | Half::Sink => {}
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
            self.hear(half)?;
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
    pub(crate) fn stopped(self: Pin<&mut Self>, half: Half, stop: Stop) -> Result<(), Stop> {
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
            Stop::Judged(verdict, error) => return Ok(self.end(verdict, half.role(), error)?),
            Stop::Error(error) => error,
        };
        let verdict = self.policy().verdict(&error, half.phase());
        Ok(self.end(verdict, half.role(), error)?)
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
        half: Half,
        cx: &mut Context<'_>,
        shutdown: Shutdown<C::Io>,
    ) -> Poll<io::Result<()>> {
        loop {
            self.as_mut().obey();
            if self.is_finished() {
                return Poll::Ready(Ok(()));
            }
            self.hear_before_finishing(half)?;
            self.as_mut().finish();
            let Some(io) = self.as_mut().connection() else {
                return Poll::Ready(self.gave_up().map_or(Ok(()), |error| Err(error.into())));
            };
            match shutdown(io, cx) {
                Poll::Ready(Ok(())) => self.finished(),
                Poll::Ready(Err(error)) => {
                    let verdict = self.policy().verdict(&error, Phase::Flush);
                    let result = self.as_mut().end(verdict, Role::Write, error);
                    if result.is_ok() {
                        continue;
                    }
                    let hears = self.core.seam != Seam::Hidden && !matches!(half, Half::Sink);
                    let hidden = !hears && self.is_closed();
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
    fn hear_before_finishing(&self, half: Half) -> io::Result<()> {
        self.hear(half).map_err(Stop::into_write_error)
    }

    /// The news of a seam, if there are.
    pub(crate) fn hear(&self, half: Half) -> Result<(), Stop> {
        match self.take_news(half.role()) {
            Some(lost) => half.crossing(self.core.seam, lost),
            None => Ok(()),
        }
    }
}
