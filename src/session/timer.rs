//! The clock and the timer of a driver. No other file of `session` reads a clock.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::task::coop::unconstrained;
use tokio::time::{Sleep, sleep_until};

use crate::timer::FAR;
pub(super) use crate::timer::now;

/// The time of one round of a driver. It reads the clock when it is asked for the first time, because
/// a round that only writes does not need it.
#[derive(Debug, Default)]
pub(super) struct RoundTime(Cell<Option<Instant>>);

impl RoundTime {
    pub(super) fn get(&self) -> Instant {
        let now = self.0.get().unwrap_or_else(now);
        self.0.set(Some(now));
        now
    }
}

/// Returns the end of a time that begins now. One that is too long to be represented is 30 years, as
/// in Tokio's own timers.
pub(super) fn deadline(limit: Duration) -> tokio::time::Instant {
    let now = tokio::time::Instant::now();
    now.checked_add(limit).unwrap_or_else(|| now + FAR)
}

/// The timer of a driver, which is set again and again. It is moved only to an earlier time: a later one
/// is set when it fires, because most of them are moved again before.
///
/// It has one task, so that it is polled only when it is set.
#[derive(Debug)]
pub(super) struct Timer {
    sleep: Pin<Box<Sleep>>,
    armed: Option<Instant>,
}

impl Timer {
    /// Returns a timer that is not set.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time enabled: in the call that begins the session, because a
    /// panic in its task has no caller.
    pub(super) fn new() -> Self {
        Self {
            sleep: Box::pin(sleep_until(tokio::time::Instant::now())),
            armed: None,
        }
    }

    /// Returns whether the time that it was set to is over, or whether it is not set.
    pub(super) fn is_due(&self) -> bool {
        self.armed.is_none() || self.sleep.is_elapsed()
    }

    /// Registers the task for this time at the latest. Ready if it is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        let Some(at) = at else {
            return Poll::Pending;
        };
        if self.armed.is_some_and(|armed| armed <= at) && !self.is_due() {
            return Poll::Pending;
        }
        self.armed = Some(at);
        self.sleep.as_mut().reset(at.into());
        // Without the budget of the task: a poll that it refuses does not register the task, and
        // this timer is not polled again before it is over.
        let mut sleep = unconstrained(self.sleep.as_mut());
        ready!(Pin::new(&mut sleep).poll(cx));
        self.armed = None;
        Poll::Ready(())
    }
}
