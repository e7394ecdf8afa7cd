//! A connector with a time limit.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project::pin_project;

use super::attempt::Attempt;
use super::connect::Connect;
use crate::timer::Timer;

/// The shortest limit. Tokio's timers count in milliseconds.
const MIN_LIMIT: Duration = Duration::from_millis(1);

/// The connector that [`Connect::timeout`] returns.
#[derive(Clone, Copy, Debug)]
pub struct Timeout<C> {
    connector: C,
    limit: Duration,
}

impl<C> Timeout<C> {
    pub(super) fn new(connector: C, limit: Duration) -> Self {
        Self {
            connector,
            limit: limit.max(MIN_LIMIT),
        }
    }
}

impl<C: Connect> Connect for Timeout<C> {
    type Io = C::Io;
    type Future = TimeoutAttempt<C::Future>;

    fn connect(&mut self, attempt: &Attempt) -> Self::Future {
        TimeoutAttempt {
            attempt: self.connector.connect(attempt),
            timer: Timer::new(self.limit),
            limit: self.limit,
        }
    }
}

/// One attempt of a [`Timeout`].
#[pin_project]
pub struct TimeoutAttempt<A> {
    #[pin]
    attempt: A,
    timer: Timer,
    limit: Duration,
}

impl<A, Io> Future for TimeoutAttempt<A>
where
    A: Future<Output = io::Result<Io>>,
{
    type Output = io::Result<Io>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.attempt.poll(cx) {
            return Poll::Ready(result);
        }
        ready!(this.timer.poll(cx));
        let text = format!("the step did not complete within {:?}", this.limit);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)))
    }
}

impl<A> fmt::Debug for TimeoutAttempt<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutAttempt")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
