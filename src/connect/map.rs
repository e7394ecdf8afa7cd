//! A connector that wraps each new connection.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project::pin_project;

use super::attempt::Attempt;
use super::connect::Connect;

/// The connector that [`Connect::map`] returns.
#[derive(Clone, Copy)]
pub struct Map<C, F> {
    connector: C,
    f: F,
}

impl<C, F> Map<C, F> {
    pub(super) const fn new(connector: C, f: F) -> Self {
        Self { connector, f }
    }
}

impl<C, F, Io> Connect for Map<C, F>
where
    C: Connect,
    F: FnOnce(C::Io) -> Io + Clone,
{
    type Io = Io;
    type Future = MapAttempt<C::Future, F>;

    fn connect(&mut self, attempt: &Attempt) -> Self::Future {
        MapAttempt {
            attempt: self.connector.connect(attempt),
            f: self.f.clone(),
        }
    }
}

/// One attempt of a [`Map`].
#[pin_project]
pub struct MapAttempt<A, F> {
    #[pin]
    attempt: A,
    f: F,
}

impl<A, F, Io, Mapped> Future for MapAttempt<A, F>
where
    A: Future<Output = io::Result<Io>>,
    F: FnOnce(Io) -> Mapped + Clone,
{
    type Output = io::Result<Mapped>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let io = ready!(this.attempt.poll(cx))?;
        Poll::Ready(Ok(this.f.clone()(io)))
    }
}

impl<C: fmt::Debug, F> fmt::Debug for Map<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("connector", &self.connector)
            .finish_non_exhaustive()
    }
}

impl<A, F> fmt::Debug for MapAttempt<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapAttempt").finish_non_exhaustive()
    }
}
