//! The stream of messages, whole or split.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures::stream::{SplitSink, SplitStream};
use futures::{Sink, Stream};

use super::super::codec::{CodecError, Item, Message};
use super::super::harness::Rig;
use super::client::{Op, PollOutcome};
use super::plan::Framed;

pub enum Halves {
    Whole(Box<Framed>),
    Split(
        Option<SplitSink<Framed, Message>>,
        Option<SplitStream<Framed>>,
    ),
}

impl Halves {
    pub fn poll(
        &mut self,
        op: Op,
        is_inherent: bool,
        rig: &Rig,
        cx: &mut Context<'_>,
    ) -> Poll<PollOutcome> {
        match op {
            Op::Next => self.poll_next(cx).map(PollOutcome::Item),
            Op::Connected => self.poll_connected(cx),
            Op::Feed { message, .. } => self.poll_feed(message, cx),
            Op::FeedTransient(message) => self.poll_transient(message, rig, cx),
            Op::Flush => self.poll_flush(is_inherent, cx).map(PollOutcome::Flushed),
            Op::Close => {
                let mut harness = rig.harness();
                (harness.is_closing, harness.reading.may_end) = (true, true);
                drop(harness);
                self.poll_close(is_inherent, cx).map(PollOutcome::Closed)
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, CodecError>>> {
        match self {
            Self::Whole(framed) => Pin::new(framed).poll_next(cx),
            Self::Split(_, stream) => Pin::new(stream.as_mut().unwrap()).poll_next(cx),
        }
    }

    fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<PollOutcome> {
        match self {
            Self::Whole(framed) => pin!(framed.connected())
                .poll(cx)
                .map(PollOutcome::Generation),
            Self::Split(..) => unreachable!("only the whole can be waited for"),
        }
    }

    fn sink<T>(
        &mut self,
        f: impl FnOnce(Pin<&mut (dyn Sink<Message, Error = CodecError> + Unpin)>) -> T,
    ) -> T {
        match self {
            Self::Whole(framed) => f(Pin::new(framed.as_mut())),
            Self::Split(sink, _) => f(Pin::new(sink.as_mut().unwrap())),
        }
    }

    fn poll_flush(
        &mut self,
        is_inherent: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CodecError>> {
        match self {
            Self::Whole(framed) if is_inherent => {
                pin!(framed.flush()).poll(cx).map_err(CodecError::Io)
            }
            Self::Whole(_) | Self::Split(..) => self.sink(|sink| sink.poll_flush(cx)),
        }
    }

    fn poll_close(
        &mut self,
        is_inherent: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CodecError>> {
        match self {
            Self::Whole(framed) if is_inherent => {
                pin!(framed.close()).poll(cx).map_err(CodecError::Io)
            }
            Self::Whole(_) | Self::Split(..) => self.sink(|sink| sink.poll_close(cx)),
        }
    }

    fn poll_feed(&mut self, message: Message, cx: &mut Context<'_>) -> Poll<PollOutcome> {
        match self.sink(|sink| sink.poll_ready(cx)) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(PollOutcome::Fed(Err(error))),
            Poll::Ready(Ok(())) => {}
        }
        let sent = self.sink(|sink| sink.start_send(message));
        Poll::Ready(PollOutcome::Fed(sent))
    }
}
