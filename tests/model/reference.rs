//! The reference: what the contract says that each poll answers.

use std::io::ErrorKind;

use reconnecting_stream::{Eof, Seam};

use super::answer::{Answer, Failure, Loss};
use super::dialer::{Dialer, Place};
use super::line::{Line, Met};
use super::plan::{Ms, Op, Role};

/// The kind of what the application gives as the cause of a loss.
pub const MARKED: ErrorKind = ErrorKind::InvalidData;

#[derive(Clone, Debug)]
pub struct Reference {
    pub dialer: Dialer,
    /// The far side of the current connection, while there is one.
    pub line: Line,
    pub command: Option<Command>,
    seam: Seam,
    /// What the reader and the writer have yet to hear of.
    owed: [Option<Loss>; 2],
    /// The loss that the stream is without a connection for.
    last_loss: Option<Loss>,
    /// The loss that a shutdown met, or that was met during it.
    unreplaced: Option<Loss>,
    pub is_finishing: bool,
    is_finished: bool,
    /// When a read will have waited too long.
    idle_until: Option<Ms>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// That this generation is dead.
    Lose(u64),
    Reconnect,
    Close,
}

impl Reference {
    pub fn new(dialer: Dialer, seam: Seam) -> Self {
        Self {
            dialer,
            line: Line::new(None),
            command: None,
            seam,
            owed: [None; 2],
            last_loss: None,
            unreplaced: None,
            is_finishing: false,
            is_finished: false,
            idle_until: None,
        }
    }

    pub fn poll(&mut self, op: Op) -> Answer {
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
        if self.dialer.is_connected() {
            let _ = self.lose(None, MARKED);
        }
    }

    pub fn redial(&mut self) {
        if self.is_finishing {
            return;
        }
        match self.dialer.place {
            Place::Connected { generation, .. } => {
                self.owe(Loss {
                    generation,
                    cause: ErrorKind::ConnectionAborted,
                });
                self.dialer.redial();
            }
            Place::Backoff { .. } | Place::GaveUp(_) => self.dialer.redial(),
            Place::Connecting { .. } | Place::Closed => {}
        }
    }

    /// The next moment at which time alone changes something.
    pub fn deadline(&self) -> Option<Ms> {
        self.idle_until
            .filter(|_| self.dialer.is_connected())
            .or_else(|| self.dialer.deadline())
            .filter(|deadline| *deadline > self.dialer.now)
    }

    /// Whether a poll would get anywhere, as far as anybody can know without polling.
    pub fn would_progress(&self, op: Op) -> bool {
        let mut probe = self.clone();
        if probe.line.is_silent {
            probe.line.fault = None;
        }
        probe.poll(op) != Answer::Pending || probe.dialer.place != self.dialer.place
    }

    /// Whether there will be no connection any more, unless somebody asks for one.
    pub fn is_over(&self) -> bool {
        matches!(self.dialer.place, Place::GaveUp(_) | Place::Closed)
    }

    /// The answer, if the command loses a connection that nothing replaces.
    fn execute_command(&mut self, op: Op) -> Option<Answer> {
        match self.command.take() {
            None => {}
            Some(Command::Close) if self.dialer.place == Place::Closed => {}
            Some(Command::Close) => {
                self.dialer.place = Place::Closed;
                self.owed = [None; 2];
            }
            Some(Command::Reconnect) => self.redial(),
            Some(Command::Lose(lost)) => {
                if matches!(self.dialer.place, Place::Connected { generation, .. } if generation == lost)
                {
                    let op = (op != Op::Connected).then_some(op);
                    return self.lose(op, MARKED);
                }
            }
        }
        None
    }

    fn transfer(&mut self, op: Op) -> Answer {
        if matches!(op, Op::Write(_)) && self.is_finishing {
            return Answer::Failed(Failure::plain(ErrorKind::BrokenPipe));
        }
        loop {
            if let Some(answer) = self.crossing(op).or_else(|| self.halted(op)) {
                return answer;
            }
            if !self.dialer.is_connected() {
                match self.dial() {
                    Some(answer) => return answer,
                    None => continue,
                }
            }
            let answer = match self.line.meet(op) {
                Met::Answer(answer) => self.waited(op, answer),
                Met::Eof => self.end(op),
                Met::Error(ErrorKind::InvalidData) => {
                    Some(Answer::Failed(Failure::plain(ErrorKind::InvalidData)))
                }
                Met::Error(cause) => self.lose(Some(op), cause),
            };
            if let Some(answer) = answer {
                return answer;
            }
        }
    }

    /// What is answered when there will be no connection.
    fn halted(&self, op: Op) -> Option<Answer> {
        match (&self.dialer.place, op) {
            (Place::GaveUp(failure), _) => Some(Answer::Failed(failure.clone())),
            (Place::Closed, Op::Read(_)) => Some(Answer::Read(Vec::new())),
            (Place::Closed, Op::Flush) if self.is_finishing => Some(Answer::Done),
            (Place::Closed, Op::Shutdown) => Some(match self.unreplaced {
                Some(loss) => Answer::Failed(Failure::lost(loss.cause, loss)),
                None => Answer::Done,
            }),
            (Place::Closed, Op::Connected) => {
                Some(Answer::Failed(Failure::plain(ErrorKind::NotConnected)))
            }
            (Place::Closed, _) => Some(Answer::Failed(Failure::plain(ErrorKind::BrokenPipe))),
            _ => None,
        }
    }

    /// What a half is told before it crosses a seam, or meets the end that a shutdown has put to
    /// an outage: once.
    fn crossing(&mut self, op: Op) -> Option<Answer> {
        match self.dialer.place {
            Place::GaveUp(_) => return None,
            Place::Closed if op.role() == Role::Writer => return None,
            Place::Closed => {
                // Whatever the seam: an end would look as if all had been read.
                let loss = self.owed[0].take()?;
                return Some(Answer::Failed(Failure::lost(loss.cause, loss)));
            }
            Place::Connected { .. } | Place::Backoff { .. } | Place::Connecting { .. } => {}
        }
        let loss = self.owed[usize::from(op.role() == Role::Writer)].take()?;
        match (self.seam, op.role()) {
            (Seam::Hidden, _) => None,
            (Seam::Eof, Role::Reader) => Some(Answer::Read(Vec::new())),
            _ => {
                let kind = ErrorKind::ConnectionReset;
                Some(Answer::Failed(Failure::lost(kind, loss)))
            }
        }
    }

    /// `None` to look again.
    fn dial(&mut self) -> Option<Answer> {
        let (answer, fault) = self.dialer.poll();
        if self.dialer.is_connected() {
            self.line = Line::new(fault);
            self.idle_until = None;
        }
        answer
    }

    fn connected(&mut self) -> Answer {
        loop {
            if let Place::Connected { generation, .. } = self.dialer.place {
                return Answer::Generation(generation);
            }
            if let Some(answer) = self.halted(Op::Connected).or_else(|| self.dial()) {
                return answer;
            }
        }
    }

    /// Only a byte ends the wait of a reader.
    fn waited(&mut self, op: Op, answer: Answer) -> Option<Answer> {
        let now = self.dialer.now;
        match (op, &answer, self.dialer.rules.idle_timeout) {
            (Op::Read(_), Answer::Read(bytes), _) if !bytes.is_empty() => self.idle_until = None,
            (Op::Read(_), Answer::Pending, Some(limit)) => {
                let until = *self.idle_until.get_or_insert(now + limit);
                if now >= until + limit {
                    // Nobody was there to wait.
                    self.idle_until = Some(now + limit);
                } else if now >= until {
                    return self.lose(Some(op), ErrorKind::TimedOut);
                }
            }
            _ => {}
        }
        Some(answer)
    }

    fn end(&mut self, op: Op) -> Option<Answer> {
        if self.dialer.rules.eof == Eof::Reconnect && !self.is_finishing {
            return self.lose(Some(op), ErrorKind::UnexpectedEof);
        }
        if self.dialer.rules.eof == Eof::Reconnect && self.is_finished {
            self.dialer.place = Place::Closed;
        }
        Some(Answer::Read(Vec::new()))
    }

    /// The answer, if nothing will replace the connection.
    fn lose(&mut self, op: Option<Op>, cause: ErrorKind) -> Option<Answer> {
        let Place::Connected { generation, .. } = self.dialer.place else {
            unreachable!("nothing to lose");
        };
        let loss = Loss { generation, cause };
        self.owe(loss);
        if !self.is_finishing {
            self.dialer.lose(cause);
            return None;
        }
        self.dialer.place = Place::Closed;
        self.unreplaced = Some(loss);
        // This half has met it.
        self.owed[usize::from(op?.role() == Role::Writer)] = None;
        Some(Answer::Failed(Failure::lost(cause, loss)))
    }

    fn owe(&mut self, loss: Loss) {
        self.owed = [Some(loss); 2];
        self.last_loss = Some(loss);
        self.idle_until = None;
    }

    fn shut_down(&mut self) -> Answer {
        if self.is_finished {
            return Answer::Done;
        }
        if let Some(answer) = self.halted(Op::Shutdown) {
            return answer;
        }
        if let Some(answer) = self.crossing(Op::Shutdown) {
            return answer;
        }
        self.is_finishing = true;
        if !self.dialer.is_connected() {
            self.dialer.place = Place::Closed;
            if self.seam == Seam::Hidden {
                self.owed[0] = self.last_loss;
            }
            return self.halted(Op::Shutdown).expect("no connection");
        }
        match self.line.meet(Op::Shutdown) {
            Met::Answer(answer) => {
                self.is_finished = answer == Answer::Done;
                answer
            }
            Met::Error(ErrorKind::InvalidData) => {
                Answer::Failed(Failure::plain(ErrorKind::InvalidData))
            }
            Met::Error(cause) => self.lose(Some(Op::Shutdown), cause).expect("finishing"),
            Met::Eof => unreachable!("only a read meets it"),
        }
    }
}
