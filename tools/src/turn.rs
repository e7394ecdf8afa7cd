//! One task that reads what there is, and sends while there is room.

use std::fmt::Debug;
use std::pin::Pin;
use std::task::Poll;

use futures::{Sink, Stream};

/// What the task can do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn<T> {
    Received(T),
    /// The next message can be sent.
    Room,
}

/// Waits for an item, or for room if there is none. Items come first, so that a peer that waits
/// for its messages to be read is never waited for.
pub async fn turn<S, I>(framed: &mut S, wants_room: bool) -> Turn<S::Item>
where
    S: Stream + Sink<I, Error: Debug> + Unpin,
{
    std::future::poll_fn(|cx| {
        if let Poll::Ready(item) = Pin::new(&mut *framed).poll_next(cx) {
            return Poll::Ready(Turn::Received(item.expect("an end of the stream")));
        }
        if wants_room && Pin::new(&mut *framed).poll_ready(cx).is_ready() {
            return Poll::Ready(Turn::Room);
        }
        Poll::Pending
    })
    .await
}
