//! The clock, and the end of a wait, whichever runtime polls it.
//!
//! The clock is Tokio's, which a test can pause.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project::pin_project;
use tokio::runtime::{Handle, Id};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// The delay that stands for one that is too long to be represented, as in Tokio's own timers.
pub(crate) const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

/// Returns the time for the rules of an outage and of a session.
pub(crate) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// The end of a wait. A wait of zero yields to the runtime once, so that attempts that fail
/// immediately can't keep a poll from returning.
///
/// A task that polls it waits for a timer of its own runtime, because one of another runtime wakes
/// no task if that is not driven any more, and panics once that has ended. Each runtime keeps its
/// timer until the wait is over: tasks of several runtimes may wait.
#[derive(Debug)]
pub(crate) enum Timer {
    Yield,
    Over,
    Sleep {
        deadline: Instant,
        /// Made when it is polled.
        last: Option<Pin<Box<OwnSleep>>>,
    },
}

/// The timer of the runtime that has polled last.
#[pin_project]
#[derive(Debug)]
pub(crate) struct OwnSleep {
    runtime: Id,
    #[pin]
    sleep: Sleep,
    /// Those of other runtimes, for the same wait.
    others: Vec<Pin<Box<OwnSleep>>>,
}

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

    /// Starts another wait. The timers of other runtimes do not stay for it.
    pub(crate) fn restart(&mut self, limit: Duration) {
        let before = std::mem::replace(self, Self::new(limit));
        let (Self::Sleep { last, .. }, Self::Sleep { last: own, .. }) = (self, before) else {
            return;
        };
        *last = own;
        if let Some(last) = last {
            last.as_mut().project().others.clear();
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
        let new = || OwnSleep {
            runtime,
            sleep: sleep_until(deadline),
            others: Vec::new(),
        };
        let own = match last.take() {
            None => Box::pin(new()),
            Some(own) if own.runtime == runtime => own,
            Some(other) => other.replaced_by(runtime, new),
        };
        let mut sleep = last.insert(own).as_mut().project().sleep;
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        Pin::new(&mut unconstrained(sleep.as_mut())).poll(cx)
    }
}

impl OwnSleep {
    /// Returns the timer of this runtime, a new one if it has none. It keeps those of the others.
    fn replaced_by(
        mut self: Pin<Box<Self>>,
        runtime: Id,
        new: impl FnOnce() -> Self,
    ) -> Pin<Box<Self>> {
        let mut others = std::mem::take(self.as_mut().project().others);
        others.push(self);
        // The end of a runtime ends its timers.
        others.retain(|other| !other.sleep.is_elapsed());
        let known = others.iter().position(|other| other.runtime == runtime);
        let mut own = known.map_or_else(|| Box::pin(new()), |index| others.swap_remove(index));
        *own.as_mut().project().others = others;
        own
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::runtime::{Builder, Runtime};
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

    fn runtime() -> Runtime {
        let mut runtime = Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap()
    }

    /// Polls it on this runtime, and returns how many timers it has.
    fn timers(timer: &mut Timer, runtime: &Runtime) -> usize {
        let _context = runtime.enter();
        let polled = timer.poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        match timer {
            Timer::Sleep { last, .. } => last.iter().map(|last| 1 + last.others.len()).sum(),
            Timer::Yield | Timer::Over => 0,
        }
    }

    #[test]
    fn each_runtime_has_one_timer_until_it_ends_or_another_wait_begins() {
        let runtimes = [runtime(), runtime(), runtime()];
        let mut timer = Timer::new(LIMIT);
        for round in 0..3 {
            for (index, runtime) in runtimes.iter().enumerate() {
                let expected = if round == 0 { index + 1 } else { 3 };
                assert_eq!(timers(&mut timer, runtime), expected);
            }
        }
        let [first, second, third] = runtimes;
        drop(third);
        assert_eq!(timers(&mut timer, &first), 2);
        timer.restart(LIMIT);
        assert_eq!(timers(&mut timer, &first), 1);
        assert_eq!(timers(&mut timer, &second), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_is_the_one_that_a_test_can_pause() {
        let before = now();
        advance(LIMIT).await;
        assert_eq!(now() - before, LIMIT);
    }
}
