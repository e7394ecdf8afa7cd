//! The future of an attempt that connects and then runs a step, such as a login or a handshake.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project::pin_project;

/// Starts the second step of an attempt.
pub(crate) trait Step<Io> {
    /// The running step.
    type Future: Future;

    /// Starts the step on a new connection. Called once.
    fn start(&mut self, io: Io) -> Self::Future;
}

impl<F, Fut, Io> Step<Io> for F
where
    F: FnOnce(Io) -> Fut + Clone,
    Fut: Future,
{
    type Future = Fut;

    fn start(&mut self, io: Io) -> Fut {
        self.clone()(io)
    }
}

/// An attempt of two steps: `Connecting -> Stepping`.
#[pin_project(project = ThenProj)]
pub(crate) enum Then<A, S, Fut> {
    /// The inner connector's attempt is running.
    Connecting {
        #[pin]
        attempt: A,
        step: S,
    },
    /// The connection is made, and the step is running.
    Stepping(#[pin] Fut),
}

impl<A, S, Fut, Io, Next> Future for Then<A, S, Fut>
where
    A: Future<Output = io::Result<Io>>,
    S: Step<Io, Future = Fut>,
    Fut: Future<Output = io::Result<Next>>,
{
    type Output = io::Result<Next>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match self.as_mut().project() {
                ThenProj::Connecting { attempt, step } => {
                    let io = ready!(attempt.poll(cx))?;
                    Self::Stepping(step.start(io))
                }
                ThenProj::Stepping(step) => return step.poll(cx),
            };
            self.set(next);
        }
    }
}
