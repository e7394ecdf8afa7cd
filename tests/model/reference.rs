//! The reference: what the contract says that each poll answers.

use std::io::ErrorKind;

use reconnecting_stream::{Eof, Seam};

use super::attempts::Attempts;
use super::connection::{Connection, Met};
use super::outcome::{Failure, Loss, PollOutcome};
use super::plan::{Ms, Op};
use super::state::ConnState;

/// The kind of what the application gives as the cause of a loss.
pub const MARKED: ErrorKind = ErrorKind::InvalidData;

#[derive(Clone, Debug)]
pub struct Reference {
    pub attempts: Attempts,
    /// The far side of the current connection, while there is one.
    pub connection: Connection,
    pub command: Option<Command>,
    pub seam: Seam,
    /// The losses that were not reported to the reader and to the writer.
    pub loss_notices: [Option<Loss>; 2],
    /// The loss that the stream is without a connection for.
    pub last_loss: Option<Loss>,
    /// The loss that a shutdown met, or that was met during it.
    pub final_loss: Option<Loss>,
    pub is_shutting_down: bool,
    pub is_shut_down: bool,
    /// When a read will have waited too long.
    pub idle_until: Option<Ms>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// That this generation is dead.
    Lose(u64),
    Reconnect,
    Close,
}

impl Reference {
    pub fn new(attempts: Attempts, seam: Seam) -> Self {
        Self {
            attempts,
            connection: Connection::new(None),
            command: None,
            seam,
            loss_notices: [None; 2],
            last_loss: None,
            final_loss: None,
            is_shutting_down: false,
            is_shut_down: false,
            idle_until: None,
        }
    }

    pub fn poll(&mut self, op: Op) -> PollOutcome {
        let answer = self.execute_command(op);
        // For a shutdown the loss is part of its result.
        if let Some(answer) = answer.filter(|_| op != Op::Shutdown) {
            return answer;
        }
        match op {
            Op::Read(_) | Op::Write(_) | Op::Flush => self.transfer(op),
            Op::Shutdown => self.shut_down(),
            Op::Connected => self.connected(),
        }
    }

    /// A handle asks: closing replaces a reconnect, which replaces a loss; the first loss counts.
    pub fn ask(&mut self, command: Command) {
        let rank = |command| match command {
            Command::Lose(_) => 1,
            Command::Reconnect => 2,
            Command::Close => 3,
        };
        if self
            .command
            .is_none_or(|pending| rank(pending) < rank(command))
        {
            self.command = Some(command);
        }
    }

    /// The application says that this connection is dead.
    pub fn mark_lost(&mut self) {
        if self.attempts.is_connected() {
            let _ = self.lose(None, MARKED);
        }
    }

    pub fn reconnect(&mut self) {
        if self.is_shutting_down {
            return;
        }
        match self.attempts.state {
            ConnState::Connected { generation, .. } => {
                self.notify_halves(Loss {
                    generation,
                    cause: ErrorKind::ConnectionAborted,
                });
                self.attempts.reconnect();
            }
            ConnState::Backoff { .. } | ConnState::GaveUp(_) => self.attempts.reconnect(),
            ConnState::Connecting { .. } | ConnState::Closed => {}
        }
    }

    /// The next moment at which time alone changes something.
    pub fn deadline(&self) -> Option<Ms> {
        self.idle_until
            .filter(|_| self.attempts.is_connected())
            .or_else(|| self.attempts.deadline())
            .filter(|deadline| *deadline > self.attempts.now)
    }

    /// Whether a poll would get anywhere, as far as anybody can know without polling.
    pub fn would_progress(&self, op: Op) -> bool {
        let mut probe = self.clone();
        if probe.connection.is_unnoticed {
            probe.connection.fault = None;
        }
        probe.poll(op) != PollOutcome::Pending || probe.attempts.state != self.attempts.state
    }

    /// Whether there will be no connection any more, unless a command asks for one.
    pub fn is_over(&self) -> bool {
        matches!(
            self.attempts.state,
            ConnState::GaveUp(_) | ConnState::Closed
        )
    }

    /// The answer, if the command loses a connection that nothing replaces.
    fn execute_command(&mut self, op: Op) -> Option<PollOutcome> {
        match self.command.take() {
            None => {}
            Some(Command::Close) if self.attempts.state == ConnState::Closed => {}
            Some(Command::Close) => {
                self.attempts.state = ConnState::Closed;
                self.loss_notices = [None; 2];
            }
            Some(Command::Reconnect) => self.reconnect(),
            Some(Command::Lose(lost)) => {
                if matches!(self.attempts.state, ConnState::Connected { generation, .. } if generation == lost)
                {
                    let op = (op != Op::Connected).then_some(op);
                    return self.lose(op, MARKED);
                }
            }
        }
        None
    }

    fn transfer(&mut self, op: Op) -> PollOutcome {
        if matches!(op, Op::Write(_)) && self.is_shutting_down {
            return PollOutcome::Failed(Failure::plain(ErrorKind::BrokenPipe));
        }
        loop {
            if let Some(answer) = self.loss_notice(op).or_else(|| self.halted(op)) {
                return answer;
            }
            if !self.attempts.is_connected() {
                match self.dial() {
                    Some(answer) => return answer,
                    None => continue,
                }
            }
            let answer = match self.connection.meet(op) {
                Met::PollOutcome(answer) => self.waited(op, answer),
                Met::Eof => self.end(op),
                Met::Error(ErrorKind::InvalidData) => {
                    Some(PollOutcome::Failed(Failure::plain(ErrorKind::InvalidData)))
                }
                Met::Error(cause) => self.lose(Some(op), cause),
            };
            if let Some(answer) = answer {
                return answer;
            }
        }
    }

    /// `None` to poll again.
    fn dial(&mut self) -> Option<PollOutcome> {
        let (answer, fault) = self.attempts.poll();
        if self.attempts.is_connected() {
            self.connection = Connection::new(fault);
            self.idle_until = None;
        }
        answer
    }

    fn connected(&mut self) -> PollOutcome {
        loop {
            if let ConnState::Connected { generation, .. } = self.attempts.state {
                return PollOutcome::Generation(generation);
            }
            if let Some(answer) = self.halted(Op::Connected).or_else(|| self.dial()) {
                return answer;
            }
        }
    }

    /// Only a byte ends the wait of a reader.
    fn waited(&mut self, op: Op, answer: PollOutcome) -> Option<PollOutcome> {
        let now = self.attempts.now;
        match (op, &answer, self.attempts.rules.idle_timeout) {
            (Op::Read(_), PollOutcome::Read(bytes), _) if !bytes.is_empty() => {
                self.idle_until = None;
            }
            (Op::Read(_), PollOutcome::Pending, Some(limit)) => {
                let until = *self.idle_until.get_or_insert(now + limit);
                if now >= until + limit {
                    // No read was waiting.
                    self.idle_until = Some(now + limit);
                } else if now >= until {
                    return self.lose(Some(op), ErrorKind::TimedOut);
                }
            }
            _ => {}
        }
        Some(answer)
    }

    fn end(&mut self, op: Op) -> Option<PollOutcome> {
        if self.attempts.rules.eof == Eof::Reconnect && !self.is_shutting_down {
            return self.lose(Some(op), ErrorKind::UnexpectedEof);
        }
        if self.attempts.rules.eof == Eof::Reconnect && self.is_shut_down {
            self.attempts.state = ConnState::Closed;
        }
        Some(PollOutcome::Read(Vec::new()))
    }
}
