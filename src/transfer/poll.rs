//! Running an operation: the fast path, and the loop over connections.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use super::op::{Exchange, NoProgress, NothingToRead, Op, Operation};
use super::transfer::Transfer;
use crate::connect::Connect;
use crate::link::shared::{COMMANDS, IDLE};
use crate::link::{Role, Unavailable};

impl<C: Connect> Transfer<C> {
    /// Polls for a connection without using it.
    pub(crate) fn poll_connected<E: Exchange<C::Io>>(
        mut self: Pin<&mut Self>,
        polling: Role,
        cx: &mut Context<'_>,
        exchange: &mut E,
    ) -> Poll<io::Result<u64>> {
        loop {
            let link = self.as_mut().project().link;
            if link.register_and_check(polling, cx.waker(), || false) {
                // A loss is reported to the halves, not to a task that waits for a connection.
                let _ = self.as_mut().execute_command(None, exchange);
            }
            let link = self.as_mut().project().link;
            match link.poll_connected(polling) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(self.link.generation())),
                Poll::Ready(Err(unavailable)) => {
                    return Poll::Ready(Err(unavailable.into_error(ErrorKind::NotConnected)));
                }
                Poll::Pending => {
                    let link = self.as_mut().project().link;
                    if !link.register_and_check(polling, cx.waker(), || false) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Runs an operation on the connection. This is the fast path; anything but progress
    /// continues in one of the cold ones.
    ///
    /// Those have their own result type, which keeps the conversion of errors out of the fast path
    /// (`tools/benches/instructions` counts it).
    #[inline]
    pub(crate) fn poll_io<O: Operation<C::Io>>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut operation: O,
    ) -> Poll<io::Result<O::Output>> {
        let link = self.as_mut().project().link;
        let result = match link.connection_unless(O::OP.slow_flags()) {
            Some(io) => match operation.poll(io, cx) {
                Poll::Ready(Ok(output)) if operation.has_moved(&output) => {
                    return Poll::Ready(Ok(output));
                }
                Poll::Ready(result) => self.poll_io_unmoved(result, cx, operation),
                Poll::Pending => self.poll_io_pending(cx, operation),
            },
            None => self.poll_io_slow(cx, operation),
        };
        result.map(|result| result.or_else(O::on_no_progress))
    }

    /// Waits for the connection, if there is nothing else to do.
    #[cold]
    #[inline(never)]
    fn poll_io_pending<O: Operation<C::Io>>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        operation: O,
    ) -> Poll<Result<O::Output, NoProgress>> {
        let has_no_limit = !self.has_idle_limit(O::OP);
        if has_no_limit && self.link.is_registered(O::OP.role(), cx.waker()) {
            return Poll::Pending;
        }
        self.poll_io_unregistered(cx, operation)
    }

    #[cold]
    #[inline(never)]
    fn poll_io_unregistered<O: Operation<C::Io>>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        operation: O,
    ) -> Poll<Result<O::Output, NoProgress>> {
        if self
            .as_mut()
            .register_and_check(O::OP, cx.waker(), || false)
        {
            return self.poll_io_slow(cx, operation);
        }
        Poll::Pending
    }

    /// Registers the polling task, and returns whether it has something to do instead of waiting
    /// for the connection: an idle timer to poll, a command, or what `has_work` finds.
    #[inline]
    pub(crate) fn register_and_check(
        self: Pin<&mut Self>,
        op: Op,
        waker: &Waker,
        has_work: impl FnOnce() -> bool,
    ) -> bool {
        let has_limit = self.has_idle_limit(op);
        let link = self.project().link;
        link.register_and_check(op.role(), waker, || has_limit || has_work())
    }

    /// Returns whether this operation waits for bytes under an idle timeout.
    #[inline]
    fn has_idle_limit(&self, op: Op) -> bool {
        match op {
            Op::Read | Op::Receive => self.link.policy().idle_timeout.is_some(),
            Op::Write | Op::Flush | Op::Send => false,
        }
    }

    /// Continues after the connection has moved nothing.
    #[cold]
    #[inline(never)]
    fn poll_io_unmoved<O: Operation<C::Io>>(
        mut self: Pin<&mut Self>,
        result: io::Result<O::Output>,
        cx: &mut Context<'_>,
        mut operation: O,
    ) -> Poll<Result<O::Output, NoProgress>> {
        match operation.check(result) {
            Ok(output) => Poll::Ready(Ok(output)),
            Err(failure) => {
                let this = self.as_mut();
                this.on_failure(O::OP, failure, &mut NothingToRead)?;
                self.poll_io_slow(cx, operation)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn poll_io_slow<O: Operation<C::Io>>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut operation: O,
    ) -> Poll<Result<O::Output, NoProgress>> {
        let exchange = &mut |io: Pin<&mut C::Io>, cx: &mut Context<'_>| {
            let polled = operation.poll(io, cx);
            polled.map(|result| operation.check(result))
        };
        self.poll_op(O::OP, cx, exchange)
    }

    /// Runs an exchange on the connection or on the next, and the next, until it makes progress.
    pub(crate) fn poll_op<E: Exchange<C::Io>>(
        mut self: Pin<&mut Self>,
        op: Op,
        cx: &mut Context<'_>,
        exchange: &mut E,
    ) -> Poll<Result<E::Output, NoProgress>> {
        loop {
            match ready!(self.as_mut().poll_current(op, cx, exchange)) {
                Err(NoProgress::Changed) => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Runs an exchange on the current connection until it makes progress. When the connection is
    /// lost, or a new one is there, the result is [`NoProgress::Changed`] before anything waits.
    ///
    /// `Pending` is ended by the connection, by a timer or an attempt, by a change that another
    /// role makes, and by a command: the polling task is registered with the link.
    pub(crate) fn poll_current<E: Exchange<C::Io>>(
        mut self: Pin<&mut Self>,
        op: Op,
        cx: &mut Context<'_>,
        exchange: &mut E,
    ) -> Poll<Result<E::Output, NoProgress>> {
        loop {
            if let Poll::Ready(result) = self.as_mut().poll_exchange(op, cx, exchange) {
                return Poll::Ready(result);
            }
            let link = self.as_mut().project().link;
            if !link.register_and_check(op.role(), cx.waker(), || exchange.can_progress()) {
                if !self.has_idle_limit(op) {
                    return Poll::Pending;
                }
                let cause = ready!(self.as_mut().project().link.poll_idle(cx));
                self.lose(Some(op), cause)?;
                return Poll::Ready(Err(NoProgress::Changed));
            }
            if !self.link.shared.flags.any(COMMANDS) {
                // The task has to yield before it polls again: a socket of Tokio wakes its task
                // within the poll when the task's budget is used up.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Polls an exchange once, on a connection that this operation may use.
    ///
    /// `Pending` may have registered the task with the connection alone: `poll_current` registers it
    /// with the link.
    #[inline]
    fn poll_exchange<E: Exchange<C::Io>>(
        mut self: Pin<&mut Self>,
        op: Op,
        cx: &mut Context<'_>,
        exchange: &mut E,
    ) -> Poll<Result<E::Output, NoProgress>> {
        let link = self.as_mut().project().link;
        if link.connection_unless(op.slow_flags()).is_none() {
            ready!(self.as_mut().poll_usable(op, cx, exchange))?;
        }
        let Some(io) = self.as_mut().connection() else {
            return Poll::Ready(Err(NoProgress::Changed));
        };
        match ready!(exchange.poll(io, cx)) {
            Ok(output) => {
                match op {
                    Op::Read | Op::Receive => self.end_idle_wait(),
                    Op::Write | Op::Flush | Op::Send => {}
                }
                Poll::Ready(Ok(output))
            }
            Err(failure) => {
                self.on_failure(op, failure, exchange)?;
                Poll::Ready(Err(NoProgress::Changed))
            }
        }
    }

    /// Returns the connection if this operation can use it without further checks.
    #[inline]
    pub(crate) fn fast_path(self: Pin<&mut Self>, op: Op) -> Option<Pin<&mut C::Io>> {
        self.project().link.connection_unless(op.slow_flags())
    }

    /// Returns whether no flag keeps this operation from the fast path.
    #[inline]
    pub(crate) fn may_use_fast_path(&self, op: Op) -> bool {
        !self.link.shared.flags.any(op.slow_flags())
    }

    /// Waits until there is a connection that this operation may use: every loss before it was
    /// reported to the half.
    fn poll_usable<E: Exchange<C::Io>>(
        mut self: Pin<&mut Self>,
        op: Op,
        cx: &mut Context<'_>,
        exchange: &mut E,
    ) -> Poll<Result<(), NoProgress>> {
        let link = self.as_mut().project().link;
        if link.register_and_check(op.role(), cx.waker(), || false) {
            self.as_mut().execute_command(Some(op), exchange)?;
        }
        match op {
            Op::Write | Op::Send if self.is_shutting_down() => {
                return Poll::Ready(Err(op.on_closed(true)));
            }
            Op::Read | Op::Write | Op::Flush | Op::Receive | Op::Send => {}
        }
        self.report_loss(op)?;
        let link = self.as_mut().project().link;
        match ready!(link.poll_connected(op.role())) {
            Ok(()) => Poll::Ready(self.report_loss(op)),
            Err(Unavailable::Closed) => Poll::Ready(Err(op.on_closed(self.is_shutting_down()))),
            Err(unavailable) => {
                let error = unavailable.into_error(ErrorKind::BrokenPipe);
                Poll::Ready(Err(NoProgress::Error(error)))
            }
        }
    }

    /// Ends the wait under the idle timer, because bytes have arrived. The next wait starts the timer
    /// again.
    #[inline]
    pub(crate) fn end_idle_wait(&self) {
        self.link.shared.flags.clear(IDLE);
    }
}
