//! The reference of one connection: what an operation meets on it.

use std::collections::VecDeque;
use std::io::ErrorKind;

use super::outcome::PollOutcome;
use super::plan::Op;
use super::support::Fault;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    pub arriving: VecDeque<u8>,
    pub fault: Option<Fault>,
    /// No task was woken for the fault.
    pub is_unnoticed: bool,
    pub room: usize,
    pub stalls_shutdown: bool,
    /// How many bytes it has taken.
    pub taken: usize,
}

/// What an operation on a connection comes to.
pub enum Met {
    PollOutcome(PollOutcome),
    Error(ErrorKind),
    Eof,
}

impl Connection {
    pub fn new(fault: Option<Fault>) -> Self {
        Self {
            arriving: VecDeque::new(),
            fault,
            is_unnoticed: false,
            room: usize::MAX,
            stalls_shutdown: false,
            taken: 0,
        }
    }

    pub fn meet(&mut self, op: Op) -> Met {
        match (op, self.error()) {
            (Op::Read(0), _) => Met::PollOutcome(PollOutcome::Read(Vec::new())),
            (Op::Connected, _) => unreachable!("is no operation on a connection"),
            (_, Some(kind)) => Met::Error(kind),
            (Op::Read(room), None) => self.read(room),
            (Op::Write(len), None) => self.write(len),
            (Op::Shutdown, None) if self.stalls_shutdown => Met::PollOutcome(PollOutcome::Pending),
            (Op::Flush | Op::Shutdown, None) => Met::PollOutcome(PollOutcome::Done),
        }
    }

    fn error(&self) -> Option<ErrorKind> {
        match self.fault? {
            Fault::Reset => Some(ErrorKind::ConnectionReset),
            Fault::Error(kind) => Some(kind),
            Fault::Eof => None,
        }
    }

    fn read(&mut self, room: usize) -> Met {
        if self.arriving.is_empty() {
            return match self.fault {
                Some(Fault::Eof) => Met::Eof,
                _ => Met::PollOutcome(PollOutcome::Pending),
            };
        }
        let len = room.min(self.arriving.len());
        Met::PollOutcome(PollOutcome::Read(self.arriving.drain(..len).collect()))
    }

    fn write(&mut self, len: usize) -> Met {
        let written = len.min(self.room);
        if written == 0 && len > 0 {
            return Met::PollOutcome(PollOutcome::Pending);
        }
        self.room -= written;
        self.taken += written;
        Met::PollOutcome(PollOutcome::Wrote(written))
    }
}
