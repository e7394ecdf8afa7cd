//! The end of a wait, whichever runtime polls it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// The delay that stands for one that is too long to be represented, as in Tokio's own timers.
const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

/// The end of a wait. A wait of zero yields to the runtime once, so that attempts that fail
/// immediately can't keep a poll from returning.
///
/// A task that polls it waits for a timer of its own runtime, because one of another runtime wakes
/// no task if that is not driven any more, and panics once that has ended.
#[derive(Debug)]
pub(crate) enum Timer {
    Yield,
    Over,
    Sleep {
        deadline: Instant,
        /// Made when it is polled.
        last: Option<OwnSleep>,
    },
}

/// The runtime that has polled last, and its timer.
type OwnSleep = (Id, Pin<Box<Sleep>>);

impl Timer {
    /// Starts a wait.
    pub(crate) fn new(limit: Duration) -> Self {
        if limit.is_zero() {
            return Self::Yield;
        }
        let now = Instant::now();
        Self::Sleep {
            deadline: now.checked_add(limit).unwrap_or_else(|| now + FAR),
            last: None,
        }
    }

    /// Starts another wait.
    pub(crate) fn restart(&mut self, limit: Duration) {
        match (self, Self::new(limit)) {
            (Self::Sleep { deadline, .. }, Self::Sleep { deadline: new, .. }) => *deadline = new,
            (timer, new) => *timer = new,
        }
    }

    /// Returns how long the wait is over; zero while it is not.
    pub(crate) fn overdue(&self) -> Duration {
        match self {
            Self::Yield | Self::Over => Duration::ZERO,
            Self::Sleep { deadline, .. } => deadline.elapsed(),
        }
    }

    /// Ready once the time is over. It ignores the budget of the task, which what it limits may have
    /// used up.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time enabled, unless the wait is zero.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (deadline, last) = match self {
            Self::Yield => {
                *self = Self::Over;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Self::Over => return Poll::Ready(()),
            Self::Sleep { deadline, last } => (*deadline, last),
        };
        let runtime = Handle::current().id();
        let own = match last.take() {
            Some(own) if own.0 == runtime => own,
            _ => (runtime, Box::pin(sleep_until(deadline))),
        };
        let (_, sleep) = last.insert(own);
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        Pin::new(&mut unconstrained(sleep.as_mut())).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::link::test_task::Task;

    const LIMIT: Duration = Duration::from_secs(10);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_delay_of_zero_yields_once_and_needs_no_runtime() {
        let (task, waker) = Task::new();
        let cx = &mut Context::from_waker(&waker);
        let mut delay = Timer::new(Duration::ZERO);
        assert!(delay.poll(cx).is_pending());
        assert_eq!(task.wakes(), 1);
        assert!(delay.poll(cx).is_ready());
        assert!(delay.poll(cx).is_ready());
        assert_eq!(task.wakes(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_is_over_when_its_time_is() {
        let (task, waker) = Task::new();
        let cx = &mut Context::from_waker(&waker);
        let mut delay = Timer::new(LIMIT);
        assert!(delay.poll(cx).is_pending());
        advance(LIMIT - SECOND).await;
        assert!(delay.poll(cx).is_pending());
        advance(SECOND).await;
        assert_eq!(task.wakes(), 1);
        assert!(delay.poll(cx).is_ready());
    }
}
