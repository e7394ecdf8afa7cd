//! The wait before an attempt.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// A wait for a delay. Without one it yields to the runtime once, so that attempts that fail at
/// once can't keep a poll from returning.
#[derive(Debug)]
pub(super) enum Pause {
    Yield,
    Over,
    Sleep(Pin<Box<Sleep>>),
}

impl Pause {
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time enabled, unless the delay is zero.
    pub(super) fn new(delay: Duration) -> Self {
        if delay.is_zero() {
            Self::Yield
        } else {
            Self::Sleep(Box::pin(sleep(delay)))
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Yield => {
                *self = Self::Over;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Over => Poll::Ready(()),
            Self::Sleep(sleep) => sleep.as_mut().poll(cx),
        }
    }
}
