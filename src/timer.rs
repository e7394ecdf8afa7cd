//! The end of a wait, whichever runtime polls it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project::pin_project;
use tokio::runtime::{Handle, Id};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// The delay that stands for one that is too long to be represented, as in Tokio's own timers.
const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

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
        Self::Sleep {
            deadline: deadline(limit),
            last: None,
        }
    }

    /// Starts another wait, which is not zero. The timers of other runtimes do not stay for it.
    pub(crate) fn restart(&mut self, limit: Duration) {
        let Self::Sleep {
            deadline: end,
            last,
        } = self
        else {
            *self = Self::new(limit);
            return;
        };
        *end = deadline(limit);
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
        let own = match last.take() {
            Some(own) if own.runtime == runtime => own,
            last => OwnSleep::of(runtime, last, deadline),
        };
        let mut sleep = last.insert(own).as_mut().project().sleep;
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        Pin::new(&mut unconstrained(sleep.as_mut())).poll(cx)
    }
}

impl OwnSleep {
    /// Returns the timer of a runtime, in place of that of the one that has polled last. A new timer
    /// has this deadline.
    fn of(runtime: Id, last: Option<Pin<Box<Self>>>, deadline: Instant) -> Pin<Box<Self>> {
        let mut others = Vec::new();
        if let Some(mut last) = last {
            others.append(last.as_mut().project().others);
            others.push(last);
        }
        // The end of a runtime ends its timers.
        others.retain(|other| !other.sleep.is_elapsed());
        let known = others.iter().position(|other| other.runtime == runtime);
        let new = || Self {
            runtime,
            sleep: sleep_until(deadline),
            others: Vec::new(),
        };
        let mut own = known.map_or_else(|| Box::pin(new()), |index| others.swap_remove(index));
        *own.as_mut().project().others = others;
        own
    }
}

/// Returns the end of a wait that begins now.
fn deadline(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit).unwrap_or_else(|| now + FAR)
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
}
