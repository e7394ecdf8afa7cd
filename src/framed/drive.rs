//! What every poll method does: process what has changed, ask the core, run the pump.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use super::connector::Connection;
use super::pump::Pump;
use super::reconnecting_framed::ReconnectingFramed;
use super::send_buffer::Durability;
use crate::connect::Connect;
use crate::link::{Role, State};
use crate::policy::Phase;
use crate::transfer::{Failure, NoProgress, Op};

/// What a polling half waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// Room for a message of this durability.
    Room(Durability),
    /// Everything was written and flushed.
    Flushed,
}

impl<C, U> ReconnectingFramed<C, U>
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite,
{
    /// Processes what has changed in the link: the end of a connection, and a new one.
    #[inline]
    pub(super) fn sync(self: Pin<&mut Self>) {
        if self.transfer.has_changed() {
            self.sync_changed();
        }
    }

    #[cold]
    fn sync_changed(self: Pin<&mut Self>) {
        let mut this = self.project();
        this.transfer.clear_changed();
        let connected = match this.transfer.state() {
            State::Connected { generation } => Some(generation),
            State::Backoff { .. }
            | State::Connecting { .. }
            | State::Detached
            | State::GaveUp
            | State::Closed => None,
        };
        if let Some(ended) = this.core.generation() {
            if connected != Some(ended) {
                let lost = this.transfer.last_loss();
                let lost = lost.filter(|lost| lost.generation == ended);
                this.core.end_connection(lost);
            }
        }
        let connection = this.transfer.as_mut().connection();
        let parts = connection.and_then(Connection::take_read_parts);
        if let (Some(generation), Some(parts)) = (connected, parts) {
            this.core.begin_connection(generation, parts);
            this.readiness.set();
        }
    }

    /// Executes what a handle has asked for.
    pub(super) fn execute_command(mut self: Pin<&mut Self>, op: Op) {
        if !self.transfer.has_command() {
            return;
        }
        self.as_mut().sync();
        let this = self.as_mut().project();
        let mut pump = Pump::new(Op::Receive, this.core, this.readiness);
        // The queue reports a loss to the operations of messages.
        let _ = this.transfer.execute_command(Some(op), &mut pump);
        self.sync();
    }

    /// Runs the pump for one half until something has moved or changed.
    pub(super) fn poll_pump(
        mut self: Pin<&mut Self>,
        op: Op,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), NoProgress>> {
        let this = self.as_mut().project();
        this.core.apply_confirms();
        let mut transfer = this.transfer;
        let mut pump = Pump {
            ends_at_eof: !transfer.policy().passes_eof() && !transfer.is_shutting_down(),
            ..Pump::new(op, this.core, this.readiness)
        };
        let pumped = transfer.as_mut().poll_current(op, cx, &mut pump);
        let has_read = pump.has_read;
        self.as_mut().on_pumped(op, has_read);
        match ready!(pumped) {
            Err(no_progress) => Poll::Ready(self.on_no_progress(op, no_progress)),
            Ok(()) => Poll::Ready(Ok(())),
        }
    }

    /// Ends the idle wait of the reader if one half has read bytes, and wakes the reader if that was
    /// the other half.
    #[inline]
    pub(super) fn on_pumped(self: Pin<&mut Self>, op: Op, has_read: bool) {
        if has_read {
            self.transfer.end_idle_wait();
            if op == Op::Send {
                self.transfer.wake_all_but(Role::Write);
            }
        }
    }

    /// Keeps an error of one direction that did not end the connection for the half that it
    /// belongs to, if that is not the one that polls.
    #[cold]
    pub(super) fn on_no_progress(
        self: Pin<&mut Self>,
        op: Op,
        no_progress: NoProgress,
    ) -> Result<(), NoProgress> {
        let this = self.project();
        match (op, no_progress) {
            (Op::Receive, NoProgress::Surfaced(Phase::Write | Phase::Flush, error)) => {
                this.core.set_send_error(error);
            }
            (Op::Send, NoProgress::Surfaced(Phase::Read, error)) => {
                if let Some(buffer) = this.core.recv.current_mut() {
                    buffer.set_error(error);
                }
            }
            (_, no_progress) => return Err(no_progress),
        }
        this.transfer.wake_all_but(op.role());
        Ok(())
    }

    /// Handles a failure of an operation that did not go through [`poll_pump`](Self::poll_pump).
    #[cold]
    pub(super) fn on_failure(
        mut self: Pin<&mut Self>,
        op: Op,
        failure: Failure,
    ) -> Result<(), NoProgress> {
        let this = self.as_mut().project();
        let mut pump = Pump::new(op, this.core, this.readiness);
        match this.transfer.on_failure(op, failure, &mut pump) {
            Ok(()) => Err(NoProgress::Changed),
            Err(no_progress) => self.on_no_progress(op, no_progress),
        }
    }

    /// Polls until the goal of a sender is reached.
    ///
    /// It leaves the polling task registered while it waits, and deregisters it when it has
    /// reached its goal, so that incoming data does not wake a sender that waits for nothing.
    pub(super) fn poll_goal(
        mut self: Pin<&mut Self>,
        goal: Goal,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            self.as_mut().execute_command(Op::Send);
            self.as_mut().sync();
            let core = self.as_mut().project().core;
            core.apply_confirms();
            core.recv.retry_reading();
            self.as_mut().take_send_error()?;
            if let Some(result) = self.as_mut().goal_result(goal) {
                self.transfer.deregister(Role::Write);
                return Poll::Ready(result);
            }
            match self.as_mut().poll_pump(Op::Send, cx) {
                Poll::Ready(Ok(()) | Err(NoProgress::Changed)) => {}
                Poll::Ready(Err(no_progress)) => {
                    return Poll::Ready(Err(no_progress.into_write_error()));
                }
                Poll::Pending => {
                    let result = ready!(self.as_mut().goal_result_of_pending(goal));
                    self.transfer.deregister(Role::Write);
                    return Poll::Ready(result);
                }
            }
        }
    }

    /// Returns the error that a reader met while it wrote.
    fn take_send_error(self: Pin<&mut Self>) -> io::Result<()> {
        let this = self.project();
        let Some(error) = this.core.take_send_error() else {
            return Ok(());
        };
        if this.core.send.has_backlog() {
            // The reader, which stopped at this error, writes the backlog.
            this.transfer.wake_all_but(Role::Write);
        }
        Err(error)
    }

    /// Returns the result of a goal that is reached although the pump waits: a write makes room
    /// also if the flush after it is pending.
    fn goal_result_of_pending(self: Pin<&mut Self>, goal: Goal) -> Poll<io::Result<()>> {
        match goal {
            Goal::Room(durability) if self.core.is_refusing(durability) => {
                Poll::Ready(Err(refused()))
            }
            Goal::Room(_) => self.goal_result(goal).map_or(Poll::Pending, Poll::Ready),
            Goal::Flushed => Poll::Pending,
        }
    }

    /// Returns the result of a goal that is reached or can't be.
    fn goal_result(self: Pin<&mut Self>, goal: Goal) -> Option<io::Result<()>> {
        let this = self.project();
        if let Some(gave_up) = this.transfer.gave_up() {
            return Some(Err(gave_up.clone().into()));
        }
        match goal {
            // With nothing to do it succeeds, also after a close.
            Goal::Flushed => this.core.send.is_flushed().then_some(Ok(())),
            Goal::Room(durability) => match this.transfer.check_open() {
                Ok(()) => this.core.make_room(durability).then_some(Ok(())),
                Err(error) => Some(Err(error)),
            },
        }
    }
}

/// The error of a message that is refused because there is no connection.
pub(super) fn refused() -> io::Error {
    io::Error::new(
        ErrorKind::NotConnected,
        "the message was refused because there is no connection",
    )
}
