//! A running attempt.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sync_wrapper::SyncWrapper;
use tokio::time::{Timeout, timeout};

/// What came of an attempt, or of a part of it.
pub(super) type Outcome<T> = std::thread::Result<io::Result<T>>;

/// The connector's future under the attempt timeout.
pub(super) struct Dial<F> {
    attempt: Pin<Box<SyncWrapper<Timeout<F>>>>,
    limit: Duration,
}

impl<F: Future<Output = io::Result<Io>>, Io> Dial<F> {
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time enabled.
    pub(super) fn new(future: F, limit: Duration) -> Self {
        Self {
            attempt: Box::pin(SyncWrapper::new(timeout(limit, future))),
            limit,
        }
    }

    /// A panic of the connector is an outcome, for the caller to pass on when its own state is
    /// in order.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<Io>> {
        let attempt = self.attempt.as_mut().get_pin_mut();
        match catch_unwind(AssertUnwindSafe(|| attempt.poll(cx))) {
            Ok(poll) => {
                let result = ready!(poll).unwrap_or_else(|_| Err(timed_out(self.limit)));
                Poll::Ready(Ok(result))
            }
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

impl<F> fmt::Debug for Dial<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

fn timed_out(limit: Duration) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("the attempt did not complete within {limit:?}"),
    )
}

/// What counts as the error of an attempt that panicked.
pub(super) fn panicked() -> io::Error {
    io::Error::other("the connector panicked")
}
