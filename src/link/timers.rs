//! The clock and the timers. No other file reads a clock.
//!
//! The clock is Tokio's, which a test can pause.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// The delay that stands for one that is too long to be represented, as in Tokio's own timers.
const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

/// Returns the time for the rules of an outage.
pub(super) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// Returns the end of a wait that begins now.
fn deadline(delay: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(delay).unwrap_or_else(|| now + FAR)
}

/// The wait before an attempt. A wait of zero yields to the runtime once, so that attempts that
/// fail immediately can't keep a poll from returning.
#[derive(Debug)]
pub(super) enum Delay {
    Yield,
    Over,
    Sleep(Pin<Box<Sleep>>),
}

impl Delay {
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

/// The timer of a read that waits for bytes.
#[derive(Debug)]
pub(super) struct IdleTimer {
    sleep: Pin<Box<Sleep>>,
}

impl IdleTimer {
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time enabled.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            sleep: Box::pin(sleep_until(deadline(limit))),
        }
    }

    /// Starts the wait again.
    pub(super) fn restart(&mut self, limit: Duration) {
        self.sleep.as_mut().reset(deadline(limit));
    }

    /// Returns the cause of the loss once the read has waited for too long. Until then it
    /// registers the task of `cx` alone, since only a reader waits for this timer.
    pub(super) fn poll(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<io::Error> {
        ready!(self.sleep.as_mut().poll(cx));
        if self.was_abandoned(limit) {
            self.restart(limit);
            ready!(self.sleep.as_mut().poll(cx));
        }
        Poll::Ready(idle_error(limit))
    }

    /// Returns true if no read was polled for another `limit` after the deadline. Then no read
    /// was waiting when the timer fired.
    fn was_abandoned(&self, limit: Duration) -> bool {
        self.sleep.deadline().elapsed() >= limit
    }
}

fn idle_error(limit: Duration) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("nothing arrived within {limit:?}"),
    )
}
