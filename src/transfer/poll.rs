//! Running an operation: the fast path, the slow loop, and what a failure means.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use pin_project::pin_project;

use super::op::{Failure, NoProgress, Op, closed};
use crate::connect::Connect;
use crate::error::{ConnectionLost, GaveUp};
use crate::link::shared::{CHANGED, COMMANDS, IDLE, READ_LOSS};
use crate::link::shared::{SHUT_DOWN, SHUTTING_DOWN, WRITE_LOSS};
use crate::link::{AfterLoss, Command, Handle, Link, Role, Settings, State, Unavailable};
use crate::policy::{Phase, Policy, Verdict};
use crate::seam::Seam;

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

/// Runs the operations of one stream over its [`Link`]. See the [module](super).
#[pin_project]
pub(crate) struct Transfer<C: Connect> {
    #[pin]
    pub(super) link: Link<C>,
}

impl<C: Connect> Transfer<C> {
    /// Begins without a connection; the first one is made when it is polled.
    pub(crate) fn lazy(connector: C, settings: Settings) -> Self {
        let link = Link::lazy(connector, settings);
        Self { link }
    }

    /// Begins with a connection that is there already.
    pub(crate) fn wrap(connector: C, settings: Settings, io: C::Io) -> Self {
        let link = Link::wrap(connector, settings, io);
        Self { link }
    }

    /// Makes the first connection: by one attempt, or under the policy.
    ///
    /// # Errors
    ///
    /// The error of the attempt, or the [`GaveUp`](crate::GaveUp) of the policy.
    pub(crate) async fn connect(connector: C, settings: Settings) -> io::Result<Self>
    where
        C::Io: Unpin,
    {
        if !settings.retry_initial_connect {
            let link = Link::connect_once(connector, settings).await?;
            return Ok(Self { link });
        }
        let mut transfer = Self::lazy(connector, settings);
        transfer.connected().await?;
        Ok(transfer)
    }

    /// Waits for a connection, and returns its generation.
    pub(crate) async fn connected(&mut self) -> io::Result<u64>
    where
        C::Io: Unpin,
    {
        poll_fn(|cx| Pin::new(&mut *self).poll_connected(cx, &mut NothingToTake)).await
    }

    /// Polls for a connection without using it.
    pub(crate) fn poll_connected<E: Exchange<C::Io>>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        exchange: &mut E,
    ) -> Poll<io::Result<u64>> {
        let polling = Role::Watch;
        loop {
            if self.as_mut().prepare_to_wait(polling, cx.waker(), || false) {
                // The loss of a command is reported to the halves, not to a watcher.
                let _ = self.as_mut().execute_command(None, exchange);
            }
            let link = self.as_mut().project().link;
            match link.poll_connected(polling) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(self.link.generation())),
                Poll::Ready(Err(unavailable)) => {
                    return Poll::Ready(Err(unavailable.into_error(ErrorKind::NotConnected)));
                }
                Poll::Pending => {
                    if !self.as_mut().prepare_to_wait(polling, cx.waker(), || false) {
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
    /// (`benches/instructions` counts it).
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
        let has_no_limit = self.idle_limit(O::OP).is_none();
        if has_no_limit && self.link.is_waiting(O::OP.role(), cx.waker()) {
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
        if self.as_mut().may_wait(O::OP, cx.waker(), || false) {
            return Poll::Pending;
        }
        self.poll_io_slow(cx, operation)
    }

    /// Registers the polling task, and returns whether it has nothing to do but to wait for the
    /// connection. `look` finds what it may have missed.
    #[inline]
    pub(crate) fn may_wait(
        self: Pin<&mut Self>,
        op: Op,
        waker: &Waker,
        look: impl FnOnce() -> bool,
    ) -> bool {
        let has_limit = self.idle_limit(op).is_some();
        !self.prepare_to_wait(op.role(), waker, || has_limit || look())
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
        match operation.classify(result) {
            Ok(output) => Poll::Ready(Ok(output)),
            Err(failure) => {
                let this = self.as_mut();
                this.on_failure(O::OP, failure, &mut NothingToTake)?;
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
            polled.map(|result| operation.classify(result))
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
            match ready!(self.as_mut().poll_once(op, cx, exchange)) {
                Err(NoProgress::Changed) => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Runs an exchange on one connection. When that is lost, or a new one is there, the result is
    /// [`NoProgress::Changed`] before anything waits.
    ///
    /// `Pending` is ended by the connection, by a timer or an attempt, by whatever another role
    /// makes of the link, and by a command: the polling task is registered with the link.
    pub(crate) fn poll_once<E: Exchange<C::Io>>(
        mut self: Pin<&mut Self>,
        op: Op,
        cx: &mut Context<'_>,
        exchange: &mut E,
    ) -> Poll<Result<E::Output, NoProgress>> {
        loop {
            let usable = match self.as_mut().fast_path(op) {
                Some(_) => Poll::Ready(Ok(())),
                None => self.as_mut().poll_usable(op, cx, exchange),
            };
            let polled = match usable {
                Poll::Ready(Err(no_progress)) => return Poll::Ready(Err(no_progress)),
                Poll::Ready(Ok(())) => match self.as_mut().project().link.connection() {
                    Some(io) => exchange.poll(io, cx),
                    None => return Poll::Ready(Err(NoProgress::Changed)),
                },
                Poll::Pending => Poll::Pending,
            };
            match polled {
                Poll::Ready(Ok(output)) => {
                    self.progressed(op);
                    return Poll::Ready(Ok(output));
                }
                Poll::Ready(Err(failure)) => {
                    self.on_failure(op, failure, exchange)?;
                    return Poll::Ready(Err(NoProgress::Changed));
                }
                Poll::Pending => {
                    let look = || exchange.can_progress();
                    if !self.as_mut().prepare_to_wait(op.role(), cx.waker(), look) {
                        let idle = ready!(self.as_mut().poll_idle(op, cx));
                        self.lose(Some(op), idle)?;
                        return Poll::Ready(Err(NoProgress::Changed));
                    }
                    if !self.has_command() {
                        // The task has to yield before it polls again: a socket of Tokio wakes
                        // its task within the poll when the task's budget is used up.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
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
        !self.link.flags().any(op.slow_flags())
    }

    /// Waits until there is a connection that this operation may use: the half has been told of
    /// every loss before it.
    fn poll_usable<E: Exchange<C::Io>>(
        mut self: Pin<&mut Self>,
        op: Op,
        cx: &mut Context<'_>,
        exchange: &mut E,
    ) -> Poll<Result<(), NoProgress>> {
        if self
            .as_mut()
            .prepare_to_wait(op.role(), cx.waker(), || false)
        {
            self.as_mut().execute_command(Some(op), exchange)?;
        }
        if op.ends_at_shutdown() && self.is_shutting_down() {
            return Poll::Ready(Err(op.on_closed(true)));
        }
        self.check_changed(op)?;
        self.take_notice(op)?;
        let link = self.as_mut().project().link;
        match ready!(link.poll_connected(op.role())) {
            Ok(()) => Poll::Ready(self.check_changed(op)),
            Err(Unavailable::Closed) => Poll::Ready(Err(op.on_closed(self.is_shutting_down()))),
            Err(unavailable) => {
                let error = unavailable.into_error(ErrorKind::BrokenPipe);
                Poll::Ready(Err(NoProgress::Error(error)))
            }
        }
    }

    /// Interrupts a face that keeps state for each connection when a connection came or went.
    fn check_changed(&self, op: Op) -> Result<(), NoProgress> {
        match op {
            Op::Receive | Op::Send if self.link.flags().any(CHANGED) => Err(NoProgress::Changed),
            Op::Read | Op::Write | Op::Flush | Op::Receive | Op::Send => Ok(()),
        }
    }

    /// Returns the loss that this half has not been told of as the error of its seam.
    pub(crate) fn take_notice(&self, op: Op) -> Result<(), NoProgress> {
        let flags = self.link.flags();
        match op {
            Op::Receive | Op::Send => return Ok(()),
            Op::Read | Op::Write | Op::Flush => {}
        }
        if !flags.any(op.loss_flag()) || self.link.gave_up().is_some() {
            return Ok(());
        }
        let Some(lost) = self.link.last_loss() else {
            return Ok(());
        };
        if !self.link.is_closed() {
            flags.clear(op.loss_flag());
            return op.on_seam(self.seam(), lost);
        }
        match op.role() {
            // No connection replaces the one that was lost. An end of the stream would look as if
            // all had been read, so the reader is told whatever the seam.
            Role::Read if self.is_shutting_down() => {
                flags.clear(op.loss_flag());
                Err(NoProgress::Error(unreplaced(&lost)))
            }
            Role::Read | Role::Write | Role::Watch => Ok(()),
        }
    }

    /// Returns whether a handle has asked for something.
    pub(crate) fn has_command(&self) -> bool {
        self.link.flags().any(COMMANDS)
    }

    /// Executes the command of a handle. An error is for the operation that polls.
    pub(crate) fn execute_command<E: Exchange<C::Io>>(
        mut self: Pin<&mut Self>,
        op: Option<Op>,
        exchange: &mut E,
    ) -> Result<(), NoProgress> {
        let Some(command) = self.link.take_command() else {
            return Ok(());
        };
        let is_stale = match command {
            Command::Close => self.link.is_closed(),
            Command::Reconnect => self.is_shutting_down(),
            Command::Lose(generation, _) => {
                generation != self.link.generation() || self.link.get_ref().is_none()
            }
        };
        if is_stale {
            return Ok(());
        }
        if let Some(io) = self.as_mut().project().link.connection() {
            exchange.before_drop(io);
        }
        match command {
            Command::Close => {
                // The caller of `close` knows. No half is told of a loss any more.
                self.link.flags().clear(READ_LOSS | WRITE_LOSS);
                self.project().link.close(op.map(Op::role));
                Ok(())
            }
            Command::Reconnect => {
                self.project().link.reconnect(op.map(Op::role));
                Ok(())
            }
            Command::Lose(_, cause) => self.lose(op, cause),
        }
    }

    /// The connection made no progress. `Ok` if it was lost and the caller polls again.
    pub(crate) fn on_failure<E: Exchange<C::Io>>(
        self: Pin<&mut Self>,
        op: Op,
        failure: Failure,
        exchange: &mut E,
    ) -> Result<(), NoProgress> {
        match failure {
            Failure::Empty => Err(NoProgress::End),
            Failure::Eof if self.policy().passes_eof() => Err(NoProgress::End),
            Failure::Eof if self.is_shutting_down() => {
                if self.is_shut_down() {
                    // Both sides have finished.
                    self.project().link.close(Some(op.role()));
                }
                Err(NoProgress::End)
            }
            Failure::Eof => self.lose(Some(op), ErrorKind::UnexpectedEof.into()),
            Failure::Classified(verdict, error) => {
                self.apply(op, op.phase(), verdict, error, exchange)
            }
            Failure::Error(phase, error) => {
                let policy = self.policy();
                match catch_unwind(AssertUnwindSafe(|| policy.verdict(&error, phase))) {
                    Ok(verdict) => self.apply(op, phase, verdict, error, exchange),
                    Err(panic) => {
                        // Unclassified, the connection can't be used any more.
                        let _ = self.apply(op, phase, Verdict::Lost, error, exchange);
                        resume_unwind(panic)
                    }
                }
            }
        }
    }

    fn apply<E: Exchange<C::Io>>(
        mut self: Pin<&mut Self>,
        op: Op,
        phase: Phase,
        verdict: Verdict,
        error: io::Error,
        exchange: &mut E,
    ) -> Result<(), NoProgress> {
        let is_dead = verdict != Verdict::Surface;
        if is_dead && matches!(phase, Phase::Write | Phase::Flush) {
            if let Some(io) = self.as_mut().connection() {
                exchange.before_drop(io);
            }
        }
        match verdict {
            Verdict::Surface => Err(NoProgress::Surfaced(phase, error)),
            Verdict::Lost => self.lose(Some(op), error),
            Verdict::Permanent => {
                let link = self.project().link;
                link.lose(Some(op.role()), error, AfterLoss::GiveUp);
                Ok(())
            }
        }
    }

    /// The connection is dead. `Ok` if the caller polls again. While shutting down nothing
    /// replaces the connection, and the operation that met the loss is told of it.
    pub(crate) fn lose(
        mut self: Pin<&mut Self>,
        op: Option<Op>,
        cause: io::Error,
    ) -> Result<(), NoProgress> {
        let polling = op.map(Op::role);
        let then = if self.is_shutting_down() {
            AfterLoss::Close
        } else {
            AfterLoss::Retry
        };
        self.as_mut().project().link.lose(polling, cause, then);
        match (op, self.link.unreplaced_loss()) {
            (Some(op @ (Op::Read | Op::Write | Op::Flush)), Some(lost)) => {
                self.link.flags().clear(op.loss_flag());
                Err(NoProgress::Error(unreplaced(lost)))
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Declares the connection dead, from outside of a poll.
    pub(crate) fn mark_lost(self: Pin<&mut Self>, cause: io::Error) {
        // There is no operation that could be told: each half is, when it is polled.
        let _ = self.lose(None, cause);
    }

    /// Drops the connection and dials again, unless the stream is shut down.
    pub(crate) fn reconnect(self: Pin<&mut Self>) {
        if !self.is_shutting_down() {
            self.project().link.reconnect(None);
        }
    }

    /// Clears the losses that neither half has been told of.
    pub(crate) fn clear_notices(&self) {
        self.link.flags().clear(READ_LOSS | WRITE_LOSS);
    }

    #[inline]
    fn progressed(&self, op: Op) {
        match op {
            Op::Read | Op::Receive => self.stop_idle_timer(),
            Op::Write | Op::Flush | Op::Send => {}
        }
    }

    /// Bytes have arrived.
    #[inline]
    pub(crate) fn stop_idle_timer(&self) {
        self.link.flags().clear(IDLE);
    }

    /// Returns how long this operation waits for bytes at most.
    #[inline]
    fn idle_limit(&self, op: Op) -> Option<Duration> {
        match op {
            Op::Read | Op::Receive => self.policy().idle_limit(),
            Op::Write | Op::Flush | Op::Send => None,
        }
    }

    /// Returns the cause of the loss when this operation has waited for too long on a connection.
    fn poll_idle(self: Pin<&mut Self>, op: Op, cx: &mut Context<'_>) -> Poll<io::Error> {
        match self.idle_limit(op) {
            Some(limit) if self.link.get_ref().is_some() => {
                self.project().link.poll_idle(limit, cx)
            }
            Some(_) | None => Poll::Pending,
        }
    }

    /// Registers the polling task, and returns whether it has something to do instead of waiting.
    #[inline]
    pub(super) fn prepare_to_wait(
        self: Pin<&mut Self>,
        role: Role,
        waker: &Waker,
        look: impl FnOnce() -> bool,
    ) -> bool {
        self.project().link.prepare_to_wait(role, waker, look)
    }

    /// Wakes the tasks of all roles but the one that polls.
    pub(crate) fn wake_others(&self, polling: Role) {
        self.link.wake_others(polling);
    }

    /// Removes the waker of a role that does not wait any more.
    #[inline]
    pub(crate) fn deregister(&self, role: Role) {
        self.link.deregister(role);
    }

    /// Returns a waker that wakes the tasks of all roles.
    pub(crate) fn waker(&self) -> Waker {
        self.link.waker()
    }

    /// Returns whether a connection came or went since [`clear_changed`](Self::clear_changed).
    #[inline]
    pub(crate) fn has_changed(&self) -> bool {
        self.link.flags().any(CHANGED)
    }

    /// Returns whether there is no change, and no command, to process.
    #[inline]
    pub(crate) fn is_unchanged(&self) -> bool {
        !self.link.flags().any(CHANGED | COMMANDS)
    }

    pub(crate) fn clear_changed(&self) {
        self.link.flags().clear(CHANGED);
    }

    /// Returns the last loss, which may have been replaced by a connection.
    pub(crate) fn last_loss(&self) -> Option<ConnectionLost> {
        self.link.last_loss()
    }

    pub(crate) fn gave_up(&self) -> Option<&GaveUp> {
        self.link.gave_up()
    }

    /// Returns an error if nothing can be sent any more.
    pub(crate) fn check_open(&self) -> io::Result<()> {
        if let Some(gave_up) = self.gave_up() {
            return Err(gave_up.clone().into());
        }
        if self.link.is_closed() || self.is_shutting_down() {
            return Err(closed(ErrorKind::BrokenPipe));
        }
        Ok(())
    }

    /// Returns true once the user has begun to shut down.
    pub(crate) fn is_shutting_down(&self) -> bool {
        self.link.flags().any(SHUTTING_DOWN)
    }

    /// Returns true once the connection has been shut down.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.link.flags().any(SHUT_DOWN)
    }

    pub(crate) fn state(&self) -> State {
        self.link.state()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.link.generation()
    }

    pub(crate) fn handle(&self) -> Handle {
        self.link.handle()
    }

    pub(crate) fn policy(&self) -> &Policy {
        self.link.policy()
    }

    pub(crate) fn seam(&self) -> Seam {
        self.link.seam()
    }

    pub(crate) fn get_ref(&self) -> Option<&C::Io> {
        self.link.get_ref()
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut C::Io> {
        self.link.get_mut()
    }

    /// Returns the connection, if there is one.
    #[inline]
    pub(crate) fn connection(self: Pin<&mut Self>) -> Option<Pin<&mut C::Io>> {
        self.project().link.connection()
    }

    pub(crate) fn into_inner(self) -> Option<C::Io> {
        self.link.into_inner()
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

/// Returns the error of a loss that nothing replaces: it has the kind of its cause.
pub(super) fn unreplaced(lost: &ConnectionLost) -> io::Error {
    io::Error::new(lost.cause.kind(), lost.clone())
}
