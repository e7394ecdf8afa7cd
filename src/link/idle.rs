//! The idle timeout of a read.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::timer::Timer;

/// The shortest idle timeout: the resolution of Tokio's timers.
const LEAST: Duration = Duration::from_millis(1);

/// The timer of a read that waits for bytes.
#[derive(Debug)]
pub(super) struct IdleTimer(Timer);

impl IdleTimer {
    /// Starts the timer.
    pub(super) fn new(limit: Duration) -> Self {
        Self(Timer::new(limit.max(LEAST)))
    }

    /// Starts the wait again.
    pub(super) fn restart(&mut self, limit: Duration) {
        self.0.restart(limit.max(LEAST));
    }

    /// Returns the cause of the loss once the read has waited for too long. Until then it
    /// registers the task of `cx` alone, since only a reader waits for this timer.
    pub(super) fn poll(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<io::Error> {
        ready!(self.0.poll(cx));
        if self.was_abandoned(limit) {
            self.restart(limit);
            ready!(self.0.poll(cx));
        }
        Poll::Ready(idle_error(limit))
    }

    /// Returns true if no read was polled for another `limit` after the deadline. Then no read
    /// was waiting when the timer fired.
    fn was_abandoned(&self, limit: Duration) -> bool {
        self.0.overdue() >= limit.max(LEAST)
    }
}

fn idle_error(limit: Duration) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("nothing arrived within {limit:?}"),
    )
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::task::Waker;

    use tokio::time::advance;

    use super::*;
    use crate::link::test_task::Task;

    const LIMIT: Duration = Duration::from_secs(10);
    const SECOND: Duration = Duration::from_secs(1);

    /// Polls once. Returns the kind and the text of the cause.
    fn poll_limit(timer: &mut IdleTimer, limit: Duration, waker: &Waker) -> Option<String> {
        match timer.poll(limit, &mut Context::from_waker(waker)) {
            Poll::Ready(cause) => {
                assert_eq!(cause.kind(), ErrorKind::TimedOut);
                Some(cause.to_string())
            }
            Poll::Pending => None,
        }
    }

    fn poll(timer: &mut IdleTimer, waker: &Waker) -> bool {
        poll_limit(timer, LIMIT, waker).is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_waits_is_woken_at_its_limit_and_not_before() {
        let (task, waker) = Task::new();
        let mut timer = IdleTimer::new(LIMIT);
        assert!(!poll(&mut timer, &waker));
        advance(LIMIT - SECOND).await;
        assert_eq!(task.wakes(), 0);
        assert!(!poll(&mut timer, &waker));
        advance(SECOND).await;
        assert_eq!(task.wakes(), 1);
        let cause = poll_limit(&mut timer, LIMIT, &waker);
        assert_eq!(cause.unwrap(), "nothing arrived within 10s");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_timer_wakes_only_the_task_that_polled_it_last() {
        let ((first, first_waker), (second, second_waker)) = (Task::new(), Task::new());
        let mut timer = IdleTimer::new(LIMIT);
        assert!(!poll(&mut timer, &first_waker));
        assert!(!poll(&mut timer, &second_waker));
        advance(LIMIT).await;
        assert_eq!((first.wakes(), second.wakes()), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_wait_that_is_started_again_has_its_whole_limit() {
        let mut timer = IdleTimer::new(LIMIT);
        advance(LIMIT - SECOND).await;
        timer.restart(LIMIT);
        advance(LIMIT - SECOND).await;
        assert!(!poll(&mut timer, Waker::noop()));
        advance(SECOND).await;
        assert!(poll(&mut timer, Waker::noop()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_wait_that_is_over_can_be_started_again() {
        let mut timer = IdleTimer::new(LIMIT);
        advance(LIMIT).await;
        assert!(poll(&mut timer, Waker::noop()));
        timer.restart(LIMIT);
        assert!(!poll(&mut timer, Waker::noop()));
        advance(LIMIT).await;
        assert!(poll(&mut timer, Waker::noop()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_comes_late_has_waited_for_too_long() {
        let mut timer = IdleTimer::new(LIMIT);
        advance(2 * LIMIT - SECOND).await;
        assert!(poll(&mut timer, Waker::noop()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_was_abandoned_has_not_waited() {
        for late in [2 * LIMIT, 100 * LIMIT] {
            let (task, waker) = Task::new();
            let mut timer = IdleTimer::new(LIMIT);
            assert!(!poll(&mut timer, Waker::noop()));
            advance(late).await;
            // The next read waits from here on, and is woken when that is over.
            assert!(!poll(&mut timer, &waker));
            advance(LIMIT - SECOND).await;
            assert!(!poll(&mut timer, &waker));
            advance(SECOND).await;
            assert_eq!(task.wakes(), 1);
            assert!(poll(&mut timer, &waker));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_limit_that_can_not_be_represented_is_never_reached() {
        let mut timer = IdleTimer::new(Duration::MAX);
        assert_eq!(poll_limit(&mut timer, Duration::MAX, Waker::noop()), None);
        advance(Duration::from_secs(86_400 * 365)).await;
        assert_eq!(poll_limit(&mut timer, Duration::MAX, Waker::noop()), None);
        timer.restart(Duration::MAX);
        assert_eq!(poll_limit(&mut timer, Duration::MAX, Waker::noop()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_limit_of_zero_is_reached_after_a_millisecond() {
        let mut timer = IdleTimer::new(Duration::ZERO);
        assert_eq!(poll_limit(&mut timer, Duration::ZERO, Waker::noop()), None);
        advance(LEAST).await;
        let cause = poll_limit(&mut timer, Duration::ZERO, Waker::noop());
        assert_eq!(cause.unwrap(), "nothing arrived within 0ns");
    }
}
