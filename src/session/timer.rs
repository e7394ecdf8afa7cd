//! The clock and the timer of a driver. No other file of `session` reads a clock.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until};

/// Returns the time, on Tokio's clock.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Returns the end of a time that begins now. One that is too long to be represented is 30 years, as
/// in Tokio's own timers.
pub(super) fn deadline(limit: Duration) -> tokio::time::Instant {
    let now = tokio::time::Instant::now();
    let far = Duration::from_secs(86_400 * 365 * 30);
    now.checked_add(limit).unwrap_or_else(|| now + far)
}

/// A timer that is set again and again. It is moved only to an earlier time: a later one is set when
/// it fires, because most of them are moved again before.
#[derive(Debug, Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Instant>,
}

impl Timer {
    /// Registers the task for this time at the latest. Ready if it is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        let Some(at) = at else {
            return Poll::Pending;
        };
        if self.armed.is_none_or(|armed| at < armed) {
            self.armed = Some(at);
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(at.into()),
                None => self.sleep = Some(Box::pin(sleep_until(at.into()))),
            }
        }
        let Some(sleep) = &mut self.sleep else {
            return Poll::Pending;
        };
        ready!(sleep.as_mut().poll(cx));
        self.armed = None;
        Poll::Ready(())
    }
}
