//! What a face does with a connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::op::{Failure, NoProgress, Op};

/// Something to do with a connection of bytes.
pub(crate) trait Operation<Io> {
    /// Which half does it.
    const OP: Op;

    type Output;

    /// Polls it. It may be polled again, on the next connection.
    fn poll(&mut self, io: Pin<&mut Io>, cx: &mut Context<'_>) -> Poll<io::Result<Self::Output>>;

    /// Returns true if it has moved something, so that there is nothing to classify.
    fn has_moved(&self, output: &Self::Output) -> bool;

    /// Returns what a result that moved nothing means for the connection.
    fn classify(&mut self, result: io::Result<Self::Output>) -> Result<Self::Output, Failure>;

    /// Returns what the caller gets if nothing can be moved.
    fn on_no_progress(no_progress: NoProgress) -> io::Result<Self::Output>;
}

/// Something to do with a connection, whose failures are classified already.
pub(crate) trait Exchange<Io> {
    type Output;

    fn poll(
        &mut self,
        io: Pin<&mut Io>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Output, Failure>>;

    /// Returns true if another poll could make progress. It is asked once the polling task is
    /// registered, and the task is woken if so.
    fn can_progress(&self) -> bool {
        false
    }

    /// Takes what can still be had of a connection that is about to be dropped, because of a
    /// command or a write that failed.
    fn before_drop(&mut self, _io: Pin<&mut Io>) {}
}

impl<Io, T, F> Exchange<Io> for F
where
    F: FnMut(Pin<&mut Io>, &mut Context<'_>) -> Poll<Result<T, Failure>>,
{
    type Output = T;

    #[inline]
    fn poll(&mut self, io: Pin<&mut Io>, cx: &mut Context<'_>) -> Poll<Result<T, Failure>> {
        self(io, cx)
    }
}

/// For faces whose connections have nothing to take before they are dropped.
pub(crate) struct NothingToTake;

impl<Io> Exchange<Io> for NothingToTake {
    type Output = ();

    fn poll(&mut self, _: Pin<&mut Io>, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }
}
