//! The stream as a stream and sink of messages, when its connections are.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use pin_project::pin_project;

use super::ReconnectingStream;
use crate::connect::Connect;
use crate::error::kind_of;
use crate::link::{Half, Link, Stop};
use crate::policy::{Phase, Verdict};

const WRITER: Half = Half::Writer(Phase::Write);

/// A connection that is a [`Stream`] and [`Sink`] of messages (a WebSocket), with the judgement
/// of its errors: when a connector returns it, [`ReconnectingStream`] is a `Stream` and `Sink`,
/// too.
///
/// The error type has to be able to carry an [`io::Error`], since that is what the stream says
/// when it gives up or, with [`Seam::Error`](crate::Seam::Error), has lost a connection.
///
/// The end of the connection's stream is what [`Policy::eof`](crate::Policy::eof) says. Messages
/// that a lost connection had accepted may not have arrived, and its own buffer is lost with it.
///
/// # Examples
///
/// ```
/// use futures::{Sink, Stream};
/// use reconnecting_stream::{Connect, Messages, ReconnectingStream, Verdict};
/// # use std::io;
/// # #[derive(Debug)] enum WsError { Io(io::Error), TooLarge }
/// # impl std::fmt::Display for WsError {
/// #     fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { Ok(()) }
/// # }
/// # impl std::error::Error for WsError {}
/// # impl From<io::Error> for WsError { fn from(error: io::Error) -> Self { Self::Io(error) } }
/// # type WebSocket = Box<dyn Stream<Item = Result<String, WsError>> + Send + Unpin>;
/// # async fn connect_websocket() -> io::Result<WebSocket> {
/// #     Ok(Box::new(futures::stream::empty()))
/// # }
///
/// fn judge(error: &WsError) -> Verdict {
///     match error {
///         WsError::TooLarge => Verdict::Surface,
///         _ => Verdict::Lost,
///     }
/// }
///
/// let stream = ReconnectingStream::builder(|| async {
///     Ok(Messages::new(connect_websocket().await?, judge as fn(&WsError) -> Verdict))
/// })
/// .lazy();
/// fn is_a_stream(_: impl Stream<Item = Result<String, WsError>>) {}
/// is_a_stream(stream);
/// ```
#[pin_project]
pub struct Messages<S, F> {
    #[pin]
    connection: S,
    judge: F,
}

impl<S, F> Messages<S, F> {
    /// `judge` tells what an error of the connection means for it.
    pub const fn new(connection: S, judge: F) -> Self {
        Self { connection, judge }
    }

    /// The connection.
    pub const fn get_ref(&self) -> &S {
        &self.connection
    }

    /// The connection.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.connection
    }

    /// Takes the connection out.
    pub fn into_inner(self) -> S {
        self.connection
    }

    /// Runs `op`: what it moves, an error that is the caller's, or why the connection can't.
    fn judged<T, E>(
        self: Pin<&mut Self>,
        op: impl FnOnce(Pin<&mut S>) -> Poll<Result<T, E>>,
    ) -> Poll<Result<Result<T, E>, Stop>>
    where
        F: Fn(&E) -> Verdict,
        E: Error + Send + Sync + 'static,
    {
        let this = self.project();
        Poll::Ready(match ready!(op(this.connection)) {
            Ok(moved) => Ok(Ok(moved)),
            Err(error) => match (this.judge)(&error) {
                Verdict::Surface => Ok(Err(error)),
                verdict @ (Verdict::Lost | Verdict::Permanent) => Err(Stop::Judged(
                    verdict,
                    io::Error::new(kind_of(&error), error),
                )),
            },
        })
    }
}

impl<S, F> fmt::Debug for Messages<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").finish_non_exhaustive()
    }
}

impl<C, S, F, T, E> Stream for ReconnectingStream<C>
where
    C: Connect<Io = Messages<S, F>>,
    S: Stream<Item = Result<T, E>>,
    F: Fn(&E) -> Verdict,
    E: Error + From<io::Error> + Send + Sync + 'static,
{
    type Item = Result<T, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let link = self.project().link;
        let next = link.poll_judged(Half::Reader, cx, None, &mut |messages, cx| {
            let next = |connection: Pin<&mut S>| connection.poll_next(cx).map(Option::transpose);
            match ready!(messages.judged(next))? {
                Ok(None) => Poll::Ready(Err(Stop::Eof)),
                Ok(Some(message)) => Poll::Ready(Ok(Ok(message))),
                Err(error) => Poll::Ready(Ok(Err(error))),
            }
        });
        Poll::Ready(match ready!(next) {
            Ok(item) => Some(item),
            Err(Stop::Eof | Stop::Nothing) => None,
            Err(Stop::Error(error) | Stop::Judged(_, error)) => Some(Err(error.into())),
        })
    }
}

impl<C, S, F, M, E> Sink<M> for ReconnectingStream<C>
where
    C: Connect<Io = Messages<S, F>>,
    S: Sink<M, Error = E>,
    F: Fn(&E) -> Verdict,
    E: Error + From<io::Error> + Send + Sync + 'static,
{
    type Error = E;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        poll_sink(self.project().link, Phase::Write, cx, Sink::poll_ready)
    }

    /// The message is refused if the connection was lost since
    /// [`poll_ready`](Sink::poll_ready).
    fn start_send(self: Pin<&mut Self>, message: M) -> Result<(), E> {
        let mut link = self.project().link;
        let Some(messages) = link.as_mut().connection() else {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        };
        let mut message = Some(message);
        let sent = messages.judged(|connection| match message.take() {
            Some(message) => Poll::Ready(connection.start_send(message)),
            None => Poll::Pending,
        });
        match sent {
            Poll::Ready(Ok(result)) => result,
            Poll::Ready(Err(stop)) => {
                link.as_mut()
                    .stopped(WRITER, stop)
                    .map_err(Stop::into_write_error)?;
                link.hear(WRITER).map_err(Stop::into_write_error)?;
                // The message went with the connection: its sender has to know, seam or not.
                Err(io::Error::from(io::ErrorKind::ConnectionReset).into())
            }
            Poll::Pending => Ok(()),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        poll_sink(self.project().link, Phase::Flush, cx, Sink::poll_flush)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let half = Half::Writer(Phase::Flush);
        let closed = self.project().link.poll_finish(half, cx, |messages, cx| {
            let this = messages.project();
            this.connection.poll_close(cx).map_err(|error| {
                let kind = match (this.judge)(&error) {
                    Verdict::Lost => io::ErrorKind::ConnectionReset,
                    Verdict::Surface | Verdict::Permanent => kind_of(&error),
                };
                io::Error::new(kind, error)
            })
        });
        closed.map_err(Into::into)
    }
}

/// One of the polls of a [`Sink`].
type PollSink<S, E> = fn(Pin<&mut S>, &mut Context<'_>) -> Poll<Result<(), E>>;

fn poll_sink<C, S, F, E>(
    link: Pin<&mut Link<C>>,
    phase: Phase,
    cx: &mut Context<'_>,
    poll: PollSink<S, E>,
) -> Poll<Result<(), E>>
where
    C: Connect<Io = Messages<S, F>>,
    F: Fn(&E) -> Verdict,
    E: Error + From<io::Error> + Send + Sync + 'static,
{
    let done = link.poll_judged(Half::Writer(phase), cx, None, &mut |messages, cx| {
        messages.judged(|connection| poll(connection, cx))
    });
    Poll::Ready(match ready!(done) {
        Ok(result) => result,
        Err(Stop::Nothing) => Ok(()),
        Err(stop) => Err(stop.into_write_error().into()),
    })
}
