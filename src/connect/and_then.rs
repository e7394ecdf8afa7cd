//! A step after the connection is made.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project::pin_project;

use super::{Attempt, Connect};

/// The connector that [`Connect::and_then`] returns.
#[derive(Clone, Copy)]
pub struct AndThen<C, F> {
    connector: C,
    step: F,
}

impl<C, F> AndThen<C, F> {
    pub(super) const fn new(connector: C, step: F) -> Self {
        Self { connector, step }
    }
}

impl<C, F, Fut, Io> Connect for AndThen<C, F>
where
    C: Connect,
    F: FnOnce(C::Io) -> Fut + Clone,
    Fut: Future<Output = io::Result<Io>>,
{
    type Io = Io;
    type Future = AndThenAttempt<C::Future, F, Fut>;

    fn connect(&mut self, attempt: &Attempt) -> Self::Future {
        AndThenAttempt(Stage::Connecting {
            attempt: self.connector.connect(attempt),
            step: self.step.clone(),
        })
    }
}

/// One attempt of an [`AndThen`].
#[pin_project]
pub struct AndThenAttempt<A, F, Fut>(#[pin] Stage<A, F, Fut>);

#[pin_project(project = StageProj)]
enum Stage<A, F, Fut> {
    Connecting {
        #[pin]
        attempt: A,
        step: F,
    },
    Stepping {
        #[pin]
        step: Fut,
    },
}

impl<A, F, Fut, Io, Next> Future for AndThenAttempt<A, F, Fut>
where
    A: Future<Output = io::Result<Io>>,
    F: FnOnce(Io) -> Fut + Clone,
    Fut: Future<Output = io::Result<Next>>,
{
    type Output = io::Result<Next>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().0;
        loop {
            let next = match stage.as_mut().project() {
                StageProj::Connecting { attempt, step } => {
                    let io = ready!(attempt.poll(cx))?;
                    Stage::Stepping {
                        step: step.clone()(io),
                    }
                }
                StageProj::Stepping { step } => return step.poll(cx),
            };
            stage.set(next);
        }
    }
}

impl<C: fmt::Debug, F> fmt::Debug for AndThen<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AndThen")
            .field("connector", &self.connector)
            .finish_non_exhaustive()
    }
}

impl<A, F, Fut> fmt::Debug for AndThenAttempt<A, F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AndThenAttempt").finish_non_exhaustive()
    }
}
