//! The idle timeout of a reader.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep_until};

use super::clock;

/// The timer of a read that waits.
#[derive(Debug)]
pub(super) struct Idle {
    timer: Pin<Box<Sleep>>,
}

impl Idle {
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time enabled.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            timer: Box::pin(sleep_until(clock::after(limit))),
        }
    }

    /// The wait begins.
    pub(super) fn restart(&mut self, limit: Duration) {
        self.timer.as_mut().reset(clock::after(limit));
    }

    /// Ready when the read has waited too long; wakes the task of `cx` otherwise, and nobody
    /// else, since only a reader waits for it.
    pub(super) fn poll(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.timer.as_mut().poll(cx));
        if self.was_abandoned(limit) {
            self.restart(limit);
            ready!(self.timer.as_mut().poll(cx));
        }
        Poll::Ready(())
    }

    /// A reader that was waiting when the timer fired comes at once. Nobody came.
    fn was_abandoned(&self, limit: Duration) -> bool {
        clock::since(self.timer.deadline()) >= limit
    }
}

/// What the loss is put down to.
pub(super) fn expired(limit: Duration) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("nothing arrived within {limit:?}"),
    )
}
