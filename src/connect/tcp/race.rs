//! A race of several futures with staggered starts (RFC 8305, section 5).

use std::future::Future;
use std::iter::Fuse;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::timer::Timer;

/// Returns a race of the candidates. The next candidate starts as soon as one has failed, or `delay`
/// after the previous start. The first success ends the race and drops the other candidates. If
/// all fail, the race ends with all of their errors, in the order in which they occurred.
pub(super) fn race<I, F>(candidates: I, delay: Duration) -> Race<I::IntoIter, F>
where
    I: IntoIterator<Item = F>,
{
    Race {
        waiting: candidates.into_iter().fuse(),
        running: Vec::new(),
        delay,
        start: Start::Now,
    }
}

pub(super) struct Race<I, F> {
    waiting: Fuse<I>,
    running: Vec<Pin<Box<F>>>,
    delay: Duration,
    start: Start,
}

/// When the next candidate starts.
enum Start {
    Now,
    Later(Timer),
    /// No candidate is left.
    Never,
}

impl<I, F, T, E> Race<I, F>
where
    I: Iterator<Item = F>,
    F: Future<Output = Result<T, Vec<E>>>,
{
    pub(super) async fn run(mut self) -> Result<T, Vec<E>> {
        let mut errors = Vec::new();
        std::future::poll_fn(|cx| self.poll(cx, &mut errors))
            .await
            .ok_or(errors)
    }

    /// Polls the race, which is ready with `None` when all candidates have failed.
    ///
    /// Before it returns `Pending`, it has polled every running candidate and the timer of the next
    /// start with the waker of `cx`.
    fn poll(&mut self, cx: &mut Context<'_>, errors: &mut Vec<E>) -> Poll<Option<T>> {
        loop {
            self.start_due(cx);
            match self.poll_running(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Ok(winner))) => return Poll::Ready(Some(winner)),
                Poll::Ready(Some(Err(failures))) => {
                    errors.extend(failures);
                    self.start_next_now();
                }
            }
        }
    }

    fn start_due(&mut self, cx: &mut Context<'_>) {
        while self.is_due(cx) {
            self.start = match self.waiting.next() {
                Some(candidate) => {
                    self.running.push(Box::pin(candidate));
                    Start::Later(Timer::new(self.delay))
                }
                None => Start::Never,
            };
        }
    }

    fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.start {
            Start::Now => true,
            Start::Later(timer) => timer.poll(cx).is_ready(),
            Start::Never => false,
        }
    }

    /// Makes the next candidate start without its delay.
    fn start_next_now(&mut self) {
        self.start = match self.start {
            Start::Now | Start::Later(_) => Start::Now,
            Start::Never => Start::Never,
        };
    }

    /// Returns the result of the first candidate that has ended, or `None` if none is running.
    fn poll_running(&mut self, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        for index in 0..self.running.len() {
            if let Poll::Ready(result) = self.running[index].as_mut().poll(cx) {
                drop(self.running.remove(index));
                return Poll::Ready(Some(result));
            }
        }
        if self.running.is_empty() {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;

    use tokio::runtime::{Builder, Runtime};
    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const DELAY: Duration = Duration::from_millis(250);

    type Answer = Result<usize, Vec<usize>>;

    /// Races candidates that complete so long after their start. Returns the result and the starts
    /// in milliseconds.
    async fn run(candidates: &[(Duration, Answer)]) -> (Answer, Vec<u128>) {
        let (start, mut starts) = (Instant::now(), Vec::new());
        let candidates = candidates.iter().map(|(after, answer)| {
            starts.push(start.elapsed().as_millis());
            async {
                sleep(*after).await;
                answer.clone()
            }
        });
        let answer = race(candidates, DELAY).run().await;
        (answer, starts)
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_first_candidate_starts_if_it_succeeds_before_the_delay() {
        let candidates = [(249 * MS, Ok(1)), (Duration::ZERO, Ok(2))];
        assert_eq!(run(&candidates).await, (Ok(1), vec![0]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_candidate_starts_after_the_delay_and_may_win() {
        let candidates = [(900 * MS, Ok(1)), (900 * MS, Ok(2)), (100 * MS, Ok(3))];
        assert_eq!(run(&candidates).await, (Ok(3), vec![0, 250, 500]));
        let candidates = [(400 * MS, Ok(1)), (900 * MS, Ok(2))];
        assert_eq!(run(&candidates).await, (Ok(1), vec![0, 250]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_candidate_starts_the_next_one_immediately() {
        let candidates = [
            (10 * MS, Err(vec![1])),
            (20 * MS, Err(vec![2])),
            (5 * MS, Ok(3)),
        ];
        assert_eq!(run(&candidates).await, (Ok(3), vec![0, 10, 30]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_race_whose_candidates_all_failed_returns_all_errors() {
        let candidates = [(300 * MS, Err(vec![1])), (10 * MS, Err(vec![2, 3]))];
        assert_eq!(run(&candidates).await, (Err(vec![2, 3, 1]), vec![0, 250]));
        assert_eq!(run(&[]).await, (Err(vec![]), vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_restarts_at_each_start_of_a_candidate() {
        let candidates = [
            (100 * MS, Err(vec![1])),
            (900 * MS, Ok(2)),
            (Duration::ZERO, Ok(3)),
        ];
        assert_eq!(run(&candidates).await, (Ok(3), vec![0, 100, 350]));
    }

    #[tokio::test(start_paused = true)]
    async fn with_an_endless_delay_the_next_candidate_waits_for_a_failure() {
        let first = Box::pin(pending::<Answer>()) as Pin<Box<dyn Future<Output = Answer>>>;
        let second = Box::pin(ready(Ok(2)));
        let race = race([first, second], Duration::MAX).run();
        assert!(timeout(Duration::from_secs(3600), race).await.is_err());
    }

    fn runtime() -> Runtime {
        let mut runtime = Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap()
    }

    #[test]
    fn a_race_that_began_on_one_runtime_continues_on_another() {
        for has_ended in [false, true] {
            let (first, second) = (runtime(), runtime());
            let hangs = Box::pin(pending::<Answer>()) as Pin<Box<dyn Future<Output = Answer>>>;
            let mut race = pin!(race([hangs, Box::pin(ready(Ok(2)))], DELAY).run());
            let began = first.block_on(async { timeout(MS, race.as_mut()).await });
            assert!(began.is_err());
            let _first = (!has_ended).then_some(first);
            let hour = Duration::from_secs(3600);
            let answer = second.block_on(async { timeout(hour, race).await });
            assert_eq!(answer, Ok(Ok(2)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_race_drops_its_candidates() {
        let guard = std::sync::Arc::new(());
        let candidates = (0..3).map(|_| {
            let guard = guard.clone();
            async move {
                pending::<()>().await;
                drop(guard);
                Answer::Ok(0)
            }
        });
        let race = race(candidates, DELAY).run();
        assert!(timeout(600 * MS, race).await.is_err());
        assert_eq!(std::sync::Arc::strong_count(&guard), 1);
    }
}
