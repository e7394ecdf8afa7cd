//! The reference of losses and of shutting down.

use std::io::ErrorKind;

use reconnecting_stream::Seam;

use super::connection::Met;
use super::outcome::{Failure, Loss, PollOutcome};
use super::plan::{Op, Role};
use super::reference::Reference;
use super::state::ConnState;

impl Reference {
    /// What is answered when there will be no connection.
    pub fn halted(&self, op: Op) -> Option<PollOutcome> {
        match (&self.attempts.state, op) {
            (ConnState::GaveUp(failure), _) => Some(PollOutcome::Failed(failure.clone())),
            (ConnState::Closed, Op::Read(_)) => Some(PollOutcome::Read(Vec::new())),
            (ConnState::Closed, Op::Flush) if self.is_shutting_down => Some(PollOutcome::Done),
            (ConnState::Closed, Op::Shutdown) => Some(match self.final_loss {
                Some(loss) => PollOutcome::Failed(Failure::lost(loss.cause, loss)),
                None => PollOutcome::Done,
            }),
            (ConnState::Closed, Op::Connected) => {
                Some(PollOutcome::Failed(Failure::plain(ErrorKind::NotConnected)))
            }
            (ConnState::Closed, _) => {
                Some(PollOutcome::Failed(Failure::plain(ErrorKind::BrokenPipe)))
            }
            _ => None,
        }
    }

    /// What a half is told before it crosses a seam, or meets the end that a shutdown has put to
    /// an outage: once.
    pub fn loss_notice(&mut self, op: Op) -> Option<PollOutcome> {
        match self.attempts.state {
            ConnState::GaveUp(_) => return None,
            ConnState::Closed if op.role() == Role::Writer => return None,
            ConnState::Closed => {
                // Whatever the seam: an end would look as if all had been read.
                let loss = self.loss_notices[0].take()?;
                return Some(PollOutcome::Failed(Failure::lost(loss.cause, loss)));
            }
            ConnState::Connected { .. }
            | ConnState::Backoff { .. }
            | ConnState::Connecting { .. } => {}
        }
        let loss = self.loss_notices[usize::from(op.role() == Role::Writer)].take()?;
        match (self.seam, op.role()) {
            (Seam::Hidden, _) => None,
            (Seam::Eof, Role::Reader) => Some(PollOutcome::Read(Vec::new())),
            _ => {
                let kind = ErrorKind::ConnectionReset;
                Some(PollOutcome::Failed(Failure::lost(kind, loss)))
            }
        }
    }

    /// The answer, if nothing will replace the connection.
    pub fn lose(&mut self, op: Option<Op>, cause: ErrorKind) -> Option<PollOutcome> {
        let ConnState::Connected { generation, .. } = self.attempts.state else {
            unreachable!("nothing to lose");
        };
        let loss = Loss { generation, cause };
        self.notify_halves(loss);
        if !self.is_shutting_down {
            self.attempts.lose(cause);
            return None;
        }
        self.attempts.state = ConnState::Closed;
        self.final_loss = Some(loss);
        // This half has met it.
        self.loss_notices[usize::from(op?.role() == Role::Writer)] = None;
        Some(PollOutcome::Failed(Failure::lost(cause, loss)))
    }

    pub fn notify_halves(&mut self, loss: Loss) {
        self.loss_notices = [Some(loss); 2];
        self.last_loss = Some(loss);
        self.idle_until = None;
    }

    pub fn shut_down(&mut self) -> PollOutcome {
        if self.is_shut_down {
            return PollOutcome::Done;
        }
        if let Some(answer) = self.halted(Op::Shutdown) {
            return answer;
        }
        if let Some(answer) = self.loss_notice(Op::Shutdown) {
            return answer;
        }
        self.is_shutting_down = true;
        if !self.attempts.is_connected() {
            self.attempts.state = ConnState::Closed;
            if self.seam == Seam::Hidden {
                self.loss_notices[0] = self.last_loss;
            }
            return self.halted(Op::Shutdown).expect("no connection");
        }
        match self.connection.meet(Op::Shutdown) {
            Met::PollOutcome(answer) => {
                self.is_shut_down = answer == PollOutcome::Done;
                answer
            }
            Met::Error(ErrorKind::InvalidData) => {
                PollOutcome::Failed(Failure::plain(ErrorKind::InvalidData))
            }
            Met::Error(cause) => self.lose(Some(Op::Shutdown), cause).expect("shutting down"),
            Met::Eof => unreachable!("only a read meets it"),
        }
    }
}
