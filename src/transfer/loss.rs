//! Losses: what a failure means, how it is reported, and the commands of handles.

use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;

use super::op::{Exchange, Failure, NoProgress, Op};
use super::transfer::Transfer;
use crate::connect::Connect;
use crate::link::shared::{CHANGED, COMMANDS, READ_LOSS, SHUTTING_DOWN, WRITE_LOSS};
use crate::link::{AfterLoss, Command, Role, State};
use crate::policy::{Phase, Verdict};

impl<C: Connect> Transfer<C> {
    /// Reports to this half what it has to process before it waits or uses a connection. For a half
    /// of bytes that is the last loss, as the error of its seam; for a half of messages, that a
    /// connection came or went.
    pub(crate) fn report_loss(&self, op: Op) -> Result<(), NoProgress> {
        let flags = &self.link.shared.flags;
        match op {
            Op::Receive | Op::Send if flags.any(CHANGED) => return Err(NoProgress::Changed),
            Op::Receive | Op::Send => return Ok(()),
            Op::Read | Op::Write | Op::Flush if flags.any(op.loss_flag()) => {}
            Op::Read | Op::Write | Op::Flush => return Ok(()),
        }
        let Some(lost) = self.link.last_loss() else {
            return Ok(());
        };
        match self.link.state() {
            State::GaveUp => Ok(()),
            State::Closed => match op.role() {
                // No connection replaces the one that was lost. An end of the stream would look as
                // if all had been read, so the reader gets the loss whatever the seam.
                Role::Read if self.is_shutting_down() => {
                    flags.clear(op.loss_flag());
                    Err(NoProgress::Error(lost.into_final_error()))
                }
                Role::Read | Role::Write | Role::Connect => Ok(()),
            },
            State::Connected { .. }
            | State::Backoff { .. }
            | State::Connecting { .. }
            | State::Detached => {
                flags.clear(op.loss_flag());
                op.on_seam(self.link.seam(), lost)
            }
        }
    }

    /// Returns whether a handle has asked for something.
    pub(crate) fn has_command(&self) -> bool {
        self.link.shared.flags.any(COMMANDS)
    }

    /// Executes the command of a handle. An error is for the operation that polls.
    pub(crate) fn execute_command<E: Exchange<C::Io>>(
        mut self: Pin<&mut Self>,
        op: Option<Op>,
        exchange: &mut E,
    ) -> Result<(), NoProgress> {
        let Some(command) = self.link.shared.take_command() else {
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
                // The stream is closed on demand: no loss is reported to a half any more.
                self.link.shared.flags.clear(READ_LOSS | WRITE_LOSS);
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

    /// Handles a poll that made no progress. `Ok` if the connection was lost and the caller polls
    /// again.
    pub(crate) fn on_failure<E: Exchange<C::Io>>(
        self: Pin<&mut Self>,
        op: Op,
        failure: Failure,
        exchange: &mut E,
    ) -> Result<(), NoProgress> {
        let (classified, phase, error) = match failure {
            Failure::Done => return Err(NoProgress::End),
            Failure::Eof if self.link.policy().passes_eof() => return Err(NoProgress::End),
            Failure::Eof if self.is_shutting_down() => {
                if self.is_shut_down() {
                    // Both sides have finished.
                    self.project().link.close(Some(op.role()));
                }
                return Err(NoProgress::End);
            }
            Failure::Eof => return self.lose(Some(op), ErrorKind::UnexpectedEof.into()),
            Failure::Classified(classified, error) => (classified, op.phase(), error),
            Failure::Error(phase, error) => {
                let classify = self.link.policy().classify;
                let classified = catch_unwind(AssertUnwindSafe(|| classify(&error, phase)));
                (classified, phase, error)
            }
        };
        match classified {
            Ok(verdict) => self.apply(op, phase, verdict, error, exchange),
            Err(panic) => {
                // Unclassified, the connection can't be used any more.
                let _ = self.apply(op, phase, Verdict::Lost, error, exchange);
                resume_unwind(panic)
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

    /// Records the loss of the connection. `Ok` if the caller polls again. While shutting down
    /// nothing replaces the connection, and the operation that met the loss returns it.
    pub(crate) fn lose(
        mut self: Pin<&mut Self>,
        op: Option<Op>,
        cause: io::Error,
    ) -> Result<(), NoProgress> {
        let polling = op.map(Op::role);
        let link = self.as_mut().project().link;
        if !link.shared.flags.any(SHUTTING_DOWN) {
            link.lose(polling, cause, AfterLoss::Retry);
            return Ok(());
        }
        link.lose(polling, cause, AfterLoss::Close);
        match (op, self.link.final_loss()) {
            (Some(op @ (Op::Read | Op::Write | Op::Flush)), Some(lost)) => {
                self.link.shared.flags.clear(op.loss_flag());
                Err(NoProgress::Error(lost.clone().into_final_error()))
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Declares the connection dead, from outside of a poll.
    pub(crate) fn mark_lost(self: Pin<&mut Self>, cause: io::Error) {
        // No operation polls: each half gets the loss when it is polled.
        let _ = self.lose(None, cause);
    }

    /// Drops the connection and dials again, unless the stream is shut down.
    pub(crate) fn reconnect(self: Pin<&mut Self>) {
        if !self.is_shutting_down() {
            self.project().link.reconnect(None);
        }
    }

    /// Discards the losses that were not reported.
    pub(crate) fn discard_losses(&self) {
        self.link.shared.flags.clear(READ_LOSS | WRITE_LOSS);
    }
}
