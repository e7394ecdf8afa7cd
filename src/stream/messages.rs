//! `Stream` and `Sink` of a byte stream's type, for connections that carry messages.

use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use pin_project::pin_project;

use super::reconnecting_stream::ReconnectingStream;
use crate::connect::Connect;
use crate::error::kind_of;
use crate::policy::Verdict;
use crate::transfer::{Failure, NoProgress, NothingToRead, Op, Transfer};

/// A connection that is a [`Stream`] and [`Sink`] of messages (a WebSocket), with the
/// classification of its errors.
///
/// When a connector returns it, [`ReconnectingStream`] is a `Stream` and `Sink`, too.
///
/// The error type has to be able to carry an [`io::Error`], because the stream returns one when it
/// gives up or, with [`Seam::Error`](crate::Seam::Error), has lost a connection.
///
/// The end of the connection's stream is what [`Policy::eof`](crate::Policy::eof) says. Messages
/// that a lost connection had accepted may not have arrived, and its own buffer is lost with it.
/// A message is only passed to the connection whose [`poll_ready`](Sink::poll_ready) succeeded; if
/// it was lost since, [`start_send`](Sink::start_send) refuses the message with an error.
///
/// # Examples
///
/// ```
/// use futures::{Sink, Stream};
/// use reconnecting_stream::{Connect, MessageTransport, ReconnectingStream, Verdict};
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
/// fn classify(error: &WsError) -> Verdict {
///     match error {
///         WsError::TooLarge => Verdict::Surface,
///         _ => Verdict::Lost,
///     }
/// }
///
/// let stream = ReconnectingStream::builder(|| async {
///     Ok(MessageTransport::new(connect_websocket().await?, classify as fn(&WsError) -> Verdict))
/// })
/// .lazy();
/// fn is_a_stream(_: impl Stream<Item = Result<String, WsError>>) {}
/// is_a_stream(stream);
/// ```
#[pin_project]
pub struct MessageTransport<S, F> {
    #[pin]
    connection: S,
    classify: F,
    /// The connection's `poll_ready` succeeded, and no message has been passed to it since.
    is_ready: bool,
}

impl<S, F> MessageTransport<S, F> {
    /// Wraps a connection. `classify` returns what an error of it means.
    pub const fn new(connection: S, classify: F) -> Self {
        Self {
            connection,
            classify,
            is_ready: false,
        }
    }

    /// Returns the connection.
    pub const fn get_ref(&self) -> &S {
        &self.connection
    }

    /// Returns the connection.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.connection
    }

    /// Takes the connection out.
    pub fn into_inner(self) -> S {
        self.connection
    }

    /// Runs `op` on the connection, and classifies its error. An error that the classification
    /// surfaces is part of the output.
    fn run<T, E>(
        self: Pin<&mut Self>,
        op: impl FnOnce(Pin<&mut S>) -> Poll<Result<T, E>>,
    ) -> Poll<Result<Result<T, E>, Failure>>
    where
        F: Fn(&E) -> Verdict,
        E: Error + Send + Sync + 'static,
    {
        let this = self.project();
        let error = match ready!(op(this.connection)) {
            Ok(output) => return Poll::Ready(Ok(Ok(output))),
            Err(error) => error,
        };
        let classified = catch_unwind(AssertUnwindSafe(|| (this.classify)(&error)));
        Poll::Ready(match classified {
            Ok(Verdict::Surface) => Ok(Err(error)),
            Ok(Verdict::Lost | Verdict::Permanent) | Err(_) => Err(Failure::Classified(
                classified,
                io::Error::new(kind_of(&error), error),
            )),
        })
    }

    /// Returns whether the connection was ready for a message. Call `poll_ready` again before the
    /// next message.
    fn take_ready(self: Pin<&mut Self>) -> bool {
        std::mem::take(self.project().is_ready)
    }
}

impl<S, F> fmt::Debug for MessageTransport<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageTransport").finish_non_exhaustive()
    }
}

impl<C, S, F, T, E> Stream for ReconnectingStream<C>
where
    C: Connect<Io = MessageTransport<S, F>>,
    S: Stream<Item = Result<T, E>>,
    F: Fn(&E) -> Verdict,
    E: Error + From<io::Error> + Send + Sync + 'static,
{
    type Item = Result<T, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let transfer = self.project().transfer;
        let next = transfer.poll_op(
            Op::Read,
            cx,
            &mut |messages: Pin<&mut C::Io>, cx: &mut Context<'_>| {
                let next =
                    |connection: Pin<&mut S>| connection.poll_next(cx).map(Option::transpose);
                Poll::Ready(match ready!(messages.run(next)) {
                    Ok(Ok(None)) => Err(Failure::Eof),
                    Ok(Ok(Some(message))) => Ok(Ok(message)),
                    Ok(Err(error)) => Ok(Err(error)),
                    Err(failure) => Err(failure),
                })
            },
        );
        Poll::Ready(match ready!(next) {
            Ok(item) => Some(item),
            Err(NoProgress::End | NoProgress::Changed) => None,
            Err(NoProgress::Error(error) | NoProgress::Surfaced(_, error)) => {
                Some(Err(error.into()))
            }
        })
    }
}

impl<C, S, F, M, E> Sink<M> for ReconnectingStream<C>
where
    C: Connect<Io = MessageTransport<S, F>>,
    S: Sink<M, Error = E>,
    F: Fn(&E) -> Verdict,
    E: Error + From<io::Error> + Send + Sync + 'static,
{
    type Error = E;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let mut transfer = self.project().transfer;
        let ready = poll_sink(transfer.as_mut(), Op::Write, cx, Sink::poll_ready);
        if let Poll::Ready(Ok(())) = ready {
            if let Some(messages) = transfer.connection() {
                *messages.project().is_ready = true;
            }
        }
        ready
    }

    /// Refuses the message if the connection was lost since [`poll_ready`](Sink::poll_ready): with
    /// the error of the seam, if that was not reported to the writer.
    fn start_send(self: Pin<&mut Self>, message: M) -> Result<(), E> {
        let mut transfer = self.project().transfer;
        let write_error = NoProgress::into_write_error;
        transfer.report_loss(Op::Write).map_err(write_error)?;
        let Some(mut messages) = transfer.as_mut().connection() else {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        };
        if !messages.as_mut().take_ready() {
            return Err(io::Error::from(io::ErrorKind::ConnectionReset).into());
        }
        let sent = messages.run(|connection| Poll::Ready(connection.start_send(message)));
        match sent {
            Poll::Ready(Ok(result)) => result,
            Poll::Ready(Err(failure)) => {
                let lost = transfer
                    .as_mut()
                    .on_failure(Op::Write, failure, &mut NothingToRead);
                lost.map_err(write_error)?;
                transfer.report_loss(Op::Write).map_err(write_error)?;
                // The message went with the connection: its sender has to know, seam or not.
                Err(io::Error::from(io::ErrorKind::ConnectionReset).into())
            }
            Poll::Pending => Ok(()),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        poll_sink(self.project().transfer, Op::Flush, cx, Sink::poll_flush)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let mut surfaced = None;
        let closed = self.project().transfer.poll_shutdown(
            cx,
            &mut |messages: Pin<&mut C::Io>, cx: &mut Context<'_>| {
                let closed = ready!(messages.run(|connection| connection.poll_close(cx)))?;
                Poll::Ready(closed.map_err(|error| {
                    surfaced = Some(error);
                    Failure::Done
                }))
            },
        );
        match (closed, surfaced) {
            (Poll::Ready(Err(_)), Some(error)) => Poll::Ready(Err(error)),
            (closed, _) => closed.map_err(Into::into),
        }
    }
}

/// One of the polls of a [`Sink`].
type PollSink<S, E> = fn(Pin<&mut S>, &mut Context<'_>) -> Poll<Result<(), E>>;

fn poll_sink<C, S, F, E>(
    transfer: Pin<&mut Transfer<C>>,
    op: Op,
    cx: &mut Context<'_>,
    poll: PollSink<S, E>,
) -> Poll<Result<(), E>>
where
    C: Connect<Io = MessageTransport<S, F>>,
    F: Fn(&E) -> Verdict,
    E: Error + From<io::Error> + Send + Sync + 'static,
{
    let done = transfer.poll_op(
        op,
        cx,
        &mut |messages: Pin<&mut C::Io>, cx: &mut Context<'_>| {
            messages.run(|connection| poll(connection, cx))
        },
    );
    Poll::Ready(match ready!(done) {
        Ok(result) => result,
        Err(NoProgress::End | NoProgress::Changed) => match op {
            Op::Flush => Ok(()),
            Op::Read | Op::Write | Op::Receive | Op::Send => {
                Err(io::Error::from(io::ErrorKind::BrokenPipe).into())
            }
        },
        Err(NoProgress::Error(error) | NoProgress::Surfaced(_, error)) => Err(error.into()),
    })
}
