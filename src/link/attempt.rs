//! A running attempt.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project::pin_project;
use sync_wrapper::SyncWrapper;

use crate::timer::Timer;

/// The result of foreign code: what it returned, or its panic.
pub(super) type Caught<T> = std::thread::Result<T>;

/// The panic of foreign code, kept until the link is in a complete state.
pub(crate) type Panic = Box<dyn std::any::Any + Send>;

/// A running attempt.
pub(super) struct ConnectAttempt<F>(Pin<Box<Limited<F>>>);

/// The connector's future under the attempt timeout.
#[pin_project]
struct Limited<F> {
    #[pin]
    future: SyncWrapper<F>,
    timer: Timer,
    limit: Duration,
}

impl<F: Future<Output = io::Result<Io>>, Io> ConnectAttempt<F> {
    /// Starts an attempt, under its timeout.
    pub(super) fn new(future: F, limit: Duration) -> Self {
        Self(Box::pin(Limited {
            future: SyncWrapper::new(future),
            timer: Timer::new(limit),
            limit,
        }))
    }

    /// Polls the future. Its panic is an outcome, so that the link can change its state before
    /// the panic continues.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time enabled.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Caught<io::Result<Io>>> {
        let attempt = self.0.as_mut().project();
        let future = attempt.future.get_pin_mut();
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Ready(result)) => Poll::Ready(Ok(result)),
            Ok(Poll::Pending) => {
                // A limit of zero is over after the first poll, and yields no more.
                if !attempt.limit.is_zero() {
                    ready!(attempt.timer.poll(cx));
                }
                Poll::Ready(Ok(Err(timed_out(*attempt.limit))))
            }
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

impl<F> fmt::Debug for ConnectAttempt<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectAttempt")
            .field("limit", &self.0.limit)
            .finish_non_exhaustive()
    }
}

fn timed_out(limit: Duration) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("the attempt did not complete within {limit:?}"),
    )
}

/// Returns what stands for the error of an attempt that panicked.
pub(super) fn panicked() -> io::Error {
    io::Error::other("the connector panicked")
}
