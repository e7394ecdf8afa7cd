//! Two ends, a network that may do what it likes, and the invariants.

use std::collections::VecDeque;
use std::time::Instant;

use super::app::App;
use super::rewrite::Without;
use super::wire::{End, Side, Wire};
use crate::session::protocol::acceptor::{Acceptor, Tombstone};
use crate::session::protocol::core::{Core, Outcome};
use crate::session::protocol::dialer::Dialer;
use crate::session::protocol::options::Options;
use crate::session::protocol::proof::SessionId;

/// A session of the acceptor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) state: SessionState,
    pub(super) app: App,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum SessionState {
    Live(Box<Acceptor>),
    Ended(Tombstone),
    /// It was forgotten.
    Unknown,
}

impl Session {
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(acceptor) = self.live() {
            let _ = acceptor.core.handle_timeout(now);
        }
    }

    pub(super) fn live(&mut self) -> Option<&mut Acceptor> {
        match &mut self.state {
            SessionState::Live(acceptor) => Some(acceptor),
            SessionState::Ended(_) | SessionState::Unknown => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) without: Without,
    pub(super) options: Options,
    pub(super) dialer: Dialer,
    pub(super) app: App,
    /// What the application of each session of the acceptor does.
    pub(super) peer_app: App,
    pub(super) sessions: Vec<Session>,
    pub(super) wires: Vec<Wire>,
    pub(super) dials: u64,
    /// The dialer's process is gone.
    pub(super) has_left: bool,
    /// Whether everything that arrives is read in both ways. The sweep is too long for it.
    pub(super) reads_twice: bool,
    /// What is wrong, if anything.
    pub(super) fault: Option<&'static str>,
}

impl World {
    /// Each side writes so many bytes and finishes.
    pub(super) fn new(now: Instant, options: Options, lengths: (u64, u64)) -> Self {
        Self {
            now,
            without: Without::Nothing,
            options,
            dialer: Dialer::new(options, vec![]),
            app: App::new(lengths.0),
            peer_app: App::new(lengths.1),
            sessions: Vec::new(),
            wires: Vec::new(),
            dials: 0,
            has_left: false,
            reads_twice: false,
            fault: None,
        }
    }

    pub(super) fn writes_first(mut self) -> Self {
        self.app.writes_first = true;
        self.peer_app.writes_first = true;
        self
    }

    /// The applications write and read so many bytes in one step.
    pub(super) fn set_chunk(&mut self, chunk: usize) {
        (self.app.chunk, self.peer_app.chunk) = (chunk, chunk);
    }

    /// The session that the dialer knows.
    pub(super) fn session(&self) -> Option<usize> {
        let id = self.dialer.id()?;
        self.sessions.iter().position(|session| session.id == id)
    }

    fn is_current(&self, wire: usize, side: Side) -> bool {
        let epoch = match side {
            Side::Dialer => self.dialer.core.epoch(),
            Side::Acceptor => match self.wires[wire].acceptor {
                End::Open { session, .. } => match &self.sessions[session].state {
                    SessionState::Live(acceptor) => acceptor.core.epoch(),
                    SessionState::Ended(_) | SessionState::Unknown => None,
                },
                End::Handshake(_) | End::Closed => None,
            },
        };
        let end = match side {
            Side::Dialer => &self.wires[wire].dialer,
            Side::Acceptor => &self.wires[wire].acceptor,
        };
        matches!(end, End::Open { epoch: open, .. } if Some(*open) == epoch)
    }

    fn core(&mut self, wire: usize, side: Side) -> Option<&mut Core> {
        if !self.is_current(wire, side) {
            return None;
        }
        match side {
            Side::Dialer => Some(&mut self.dialer.core),
            Side::Acceptor => match self.wires[wire].acceptor {
                End::Open { session, .. } => Some(&mut self.sessions[session].live()?.core),
                End::Handshake(_) | End::Closed => None,
            },
        }
    }

    /// Returns whether the dialer has no connection and needs one.
    pub(super) fn may_dial(&self) -> bool {
        let is_closed = |wire: &Wire| wire.dialer == End::Closed;
        !self.has_left
            && (self.dialer.core.outcome().is_none() || self.dialer.core.is_reset_untold())
            && self.wires.last().is_none_or(is_closed)
    }

    pub(super) fn dial(&mut self) {
        self.dials += 1;
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.dials.to_be_bytes());
        let dial = self.dialer.dial(self.now, nonce);
        let to_acceptor = VecDeque::from([dial.message.clone()]);
        self.wires.push(Wire {
            dial,
            to_acceptor,
            to_dialer: VecDeque::new(),
            dialer: End::Handshake(Vec::new()),
            acceptor: End::Handshake(Vec::new()),
        });
    }

    /// One side sees the connection die.
    pub(super) fn cut(&mut self, wire: usize, side: Side) {
        let now = self.now;
        if let Some(core) = self.core(wire, side) {
            core.detach(now);
        }
        self.wires[wire].close(side);
    }

    /// Both sides see it, and what is on its way is lost.
    pub(super) fn cut_both(&mut self, wire: usize) {
        self.cut(wire, Side::Dialer);
        self.cut(wire, Side::Acceptor);
    }

    pub(super) fn is_open(&self, wire: usize, side: Side) -> bool {
        let wire = &self.wires[wire];
        match side {
            Side::Dialer => wire.dialer != End::Closed,
            Side::Acceptor => wire.acceptor != End::Closed,
        }
    }

    /// Moves up to `most` bytes of one side's output to the connection, and returns how many. A
    /// side that has nothing more to write, ever, closes.
    pub(super) fn transmit(&mut self, wire: usize, side: Side, most: usize) -> Option<usize> {
        let without = self.without;
        let core = self.core(wire, side)?;
        let Some(transmit) = core.poll_transmit() else {
            if core.is_closing() {
                self.cut(wire, side);
                self.bury();
                return Some(0);
            }
            return None;
        };
        let mut batch = transmit.all();
        batch.truncate(most);
        core.advance(batch.len());
        if without == Without::Window {
            batch = super::rewrite::acknowledge_what_is_read(&batch, core.recv());
        }
        let len = batch.len();
        let to = match side {
            Side::Dialer => Side::Acceptor,
            Side::Acceptor => Side::Dialer,
        };
        let wire = &mut self.wires[wire];
        if *wire.end(to) != End::Closed {
            wire.queue(to).push_back(batch);
        }
        Some(len)
    }

    /// Replaces sessions that have ended.
    fn bury(&mut self) {
        let forgets = self.without == Without::Tombstone;
        for session in &mut self.sessions {
            let SessionState::Live(acceptor) = &session.state else {
                continue;
            };
            if let Some(tombstone) = acceptor.tombstone().filter(|_| session.app.has_all()) {
                session.state = match forgets {
                    true => SessionState::Unknown,
                    false => SessionState::Ended(tombstone),
                };
            }
        }
    }

    pub(super) fn pending(&self, wire: usize, to: Side) -> usize {
        let queue = match to {
            Side::Dialer => &self.wires[wire].to_dialer,
            Side::Acceptor => &self.wires[wire].to_acceptor,
        };
        queue.iter().map(Vec::len).sum()
    }

    /// Returns whether one side can see the end of the connection.
    pub(super) fn sees_end(&self, wire: usize, side: Side) -> bool {
        let other = match side {
            Side::Dialer => Side::Acceptor,
            Side::Acceptor => Side::Dialer,
        };
        self.is_open(wire, side) && !self.is_open(wire, other) && self.pending(wire, side) == 0
    }

    /// The applications do what they can: write, finish, read.
    pub(super) fn run_apps(&mut self) {
        while self.step_app(Side::Dialer) || self.step_app(Side::Acceptor) {}
    }

    /// One step of an application; false if there is none.
    pub(super) fn step_app(&mut self, side: Side) -> bool {
        match side {
            Side::Dialer => !self.has_left && self.app.step(&mut self.dialer.core, &mut self.fault),
            Side::Acceptor => {
                let Some(at) = self.session() else {
                    return false;
                };
                let session = &mut self.sessions[at];
                let SessionState::Live(acceptor) = &mut session.state else {
                    return false;
                };
                // A session that is provisional has no application.
                acceptor.core.is_confirmed()
                    && session.app.step(&mut acceptor.core, &mut self.fault)
            }
        }
    }

    /// The dialer's process ends once its application has what it wants.
    pub(super) fn leave_early(&mut self) {
        let has_finished = self.dialer.core.send().is_complete() && self.app.has_all();
        if self.without == Without::Linger && has_finished && !self.has_left {
            self.has_left = true;
            if let Some(wire) = self.wires.len().checked_sub(1) {
                self.cut(wire, Side::Dialer);
            }
        }
    }

    /// Returns whether both ends know that everything has arrived.
    pub(super) fn is_complete(&self) -> bool {
        let Some(session) = self.session().map(|at| &self.sessions[at]) else {
            return false;
        };
        let is_ended = match &session.state {
            SessionState::Live(acceptor) => acceptor.core.outcome() == Some(Outcome::Complete),
            SessionState::Ended(_) | SessionState::Unknown => true,
        };
        let is_known = self.has_left || self.dialer.core.outcome() == Some(Outcome::Complete);
        is_known && is_ended && self.app.has_all() && session.app.has_all()
    }
}
