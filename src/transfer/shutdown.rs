//! Shutting the writing side down.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::op::{Exchange, Failure, NoProgress, NothingToRead, Op};
use super::transfer::Transfer;
use crate::connect::Connect;
use crate::link::shared::{READ_LOSS, SHUT_DOWN, SHUTTING_DOWN};
use crate::link::{Role, State};
use crate::seam::Seam;

impl<C: Connect> Transfer<C> {
    /// Shuts the writing side down. No connection is replaced from here on.
    ///
    /// With `Seam::Error` and `Seam::Eof` a pending loss is reported first, so that the writer can
    /// send its last bytes again. `Pending` is ended as that of
    /// [`poll_current`](Self::poll_current).
    pub(crate) fn poll_shutdown<E>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        shutdown: &mut E,
    ) -> Poll<io::Result<()>>
    where
        E: Exchange<C::Io, Output = ()>,
    {
        let op = Op::Flush;
        loop {
            if self.as_mut().register_and_check(op, cx.waker(), || false) {
                // A loss is part of the result.
                let _ = self.as_mut().execute_command(Some(op), &mut NothingToRead);
            }
            if let Some(result) = self.shutdown_result() {
                return Poll::Ready(result);
            }
            self.report_loss(op).map_err(NoProgress::into_write_error)?;
            self.as_mut().begin_shutdown(Some(op.role()));
            let Some(io) = self.as_mut().connection() else {
                continue;
            };
            match shutdown.poll(io, cx) {
                Poll::Ready(Ok(())) => self.link.shared.flags.set(SHUT_DOWN),
                Poll::Ready(Err(failure)) => {
                    let lost = self.as_mut().on_failure(op, failure, shutdown);
                    lost.map_err(NoProgress::into_write_error)?;
                }
                Poll::Pending => {
                    if !self.as_mut().register_and_check(op, cx.waker(), || false) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Returns what a shutdown has come to. The same again, however often it is called.
    pub(crate) fn shutdown_result(&self) -> Option<io::Result<()>> {
        if self.is_shut_down() {
            return Some(Ok(()));
        }
        if let Some(gave_up) = self.link.gave_up() {
            return Some(Err(gave_up.clone().into()));
        }
        if !self.link.is_closed() {
            return None;
        }
        Some(
            self.link
                .final_loss()
                .map_or(Ok(()), |lost| Err(lost.clone().into_final_error())),
        )
    }

    /// Begins the shutdown. No connection is replaced from here on, and an outage ends.
    pub(crate) fn begin_shutdown(self: Pin<&mut Self>, polling: Option<Role>) {
        self.link.shared.flags.set(SHUTTING_DOWN);
        match self.link.state() {
            State::Backoff { .. } | State::Connecting { .. } => {
                if self.link.seam() == Seam::Hidden && self.link.last_loss().is_some() {
                    // Nothing replaces the connection, so that the seam can't stay hidden.
                    self.link.shared.flags.set(READ_LOSS);
                }
                self.project().link.close(polling);
            }
            State::Connected { .. } | State::Detached | State::GaveUp | State::Closed => {}
        }
    }

    /// Records that the connection has been shut down.
    pub(crate) fn set_shut_down(&self) {
        self.link.shared.flags.set(SHUTTING_DOWN | SHUT_DOWN);
    }
}

impl Failure {
    /// Returns the failure of a flush or a shutdown.
    pub(crate) fn of_shutdown(error: io::Error) -> Self {
        Self::Error(crate::policy::Phase::Flush, error)
    }
}
