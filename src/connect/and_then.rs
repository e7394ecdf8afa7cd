//! A connector that runs a step on each new connection.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project::pin_project;

use super::attempt::Attempt;
use super::connect::Connect;
use super::then::Then;

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
        AndThenAttempt(Then::Connecting {
            attempt: self.connector.connect(attempt),
            step: self.step.clone(),
        })
    }
}

/// One attempt of an [`AndThen`].
#[pin_project]
pub struct AndThenAttempt<A, F, Fut>(#[pin] Then<A, F, Fut>);

impl<A, F, Fut, Io, Next> Future for AndThenAttempt<A, F, Fut>
where
    A: Future<Output = io::Result<Io>>,
    F: FnOnce(Io) -> Fut + Clone,
    Fut: Future<Output = io::Result<Next>>,
{
    type Output = io::Result<Next>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().0.poll(cx)
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
