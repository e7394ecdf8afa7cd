//! Two ends, a network that may do what it likes, and the invariants.

use std::collections::VecDeque;
use std::time::Instant;

use super::app::App;
use crate::session::protocol::acceptor::{Acceptor, Tombstone, reject_unknown};
use crate::session::protocol::core::{Core, Outcome};
use crate::session::protocol::dialer::{Answered, Dial, Dialer};
use crate::session::protocol::handshake::{Handshake, Resume};
use crate::session::protocol::options::Options;
use crate::session::protocol::proof::{Secret, SessionId};

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Dialer,
    Acceptor,
}

/// A rule that is taken out, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Without {
    Nothing,
    /// A RESUME of an earlier dial is accepted after one of a later dial.
    Epoch,
    /// DATA is appended wherever it begins, and the connection that was replaced still delivers.
    Offset,
    /// The acceptor forgets a session that is complete.
    Tombstone,
    /// The dialer is gone as soon as its application has finished.
    Linger,
    /// What is not read is not acknowledged.
    Window,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wire {
    dial: Dial,
    /// What was written and has not arrived, one batch of frames each.
    to_acceptor: VecDeque<Vec<u8>>,
    to_dialer: VecDeque<Vec<u8>>,
    dialer: End,
    acceptor: End,
}

/// What one side of a connection is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum End {
    /// The first message has not arrived whole.
    Handshake(Vec<u8>),
    /// It carries frames of a session, in this epoch.
    Open {
        session: usize,
        epoch: u64,
    },
    Closed,
}

impl Wire {
    fn queue(&mut self, to: Side) -> &mut VecDeque<Vec<u8>> {
        match to {
            Side::Dialer => &mut self.to_dialer,
            Side::Acceptor => &mut self.to_acceptor,
        }
    }

    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Dialer => &mut self.dialer,
            Side::Acceptor => &mut self.acceptor,
        }
    }

    /// Closes one side: what is on its way to it is lost.
    fn close(&mut self, side: Side) {
        *self.end(side) = End::Closed;
        self.queue(side).clear();
    }
}

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

    fn live(&mut self) -> Option<&mut Acceptor> {
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
    options: Options,
    pub(super) dialer: Dialer,
    pub(super) app: App,
    /// What the application of each session of the acceptor does.
    peer_app: App,
    pub(super) sessions: Vec<Session>,
    pub(super) wires: Vec<Wire>,
    pub(super) dials: u64,
    /// The dialer's process is gone.
    pub(super) has_left: bool,
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
            && self.dialer.core.outcome().is_none()
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
        let mut batch = transmit.slices.concat();
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

    /// Delivers the next batch, up to `most` bytes of it.
    pub(super) fn deliver(&mut self, wire: usize, to: Side, most: usize) {
        let queue = self.wires[wire].queue(to);
        let Some(mut batch) = queue.pop_front() else {
            return;
        };
        if batch.len() > most {
            let rest = batch.split_off(most);
            queue.push_front(rest);
        }
        let bytes = match self.wires[wire].end(to) {
            End::Closed => return,
            End::Open { .. } => batch,
            End::Handshake(begun) => {
                begun.extend(batch);
                match Handshake::decode(begun) {
                    Ok(None) => return,
                    Ok(Some((message, len))) => {
                        let rest = begun.split_off(len);
                        match to {
                            Side::Dialer => self.on_answer(wire, &message),
                            Side::Acceptor => self.on_first_message(wire, &message),
                        }
                        rest
                    }
                    Err(_) => {
                        self.fault = Some("a handshake that can't be decoded");
                        return;
                    }
                }
            }
        };
        self.on_frames(wire, to, &bytes);
    }

    fn on_frames(&mut self, wire: usize, to: Side, bytes: &[u8]) {
        let End::Open { session, mut epoch } = *self.wires[wire].end(to) else {
            return;
        };
        let now = self.now;
        let without = self.without;
        let core = match to {
            Side::Dialer => &mut self.dialer.core,
            Side::Acceptor => match self.sessions[session].live() {
                Some(acceptor) => &mut acceptor.core,
                None => return self.wires[wire].close(to),
            },
        };
        let handled = if without == Without::Offset {
            epoch = core.epoch().unwrap_or(epoch);
            let bytes = super::rewrite::append_data(bytes, core.recv());
            core.handle_input(now, epoch, &bytes)
        } else {
            core.handle_input(now, epoch, bytes)
        };
        if let Err(error) = handled {
            use crate::session::protocol::error::ProtocolError::StaleConnection;
            if error != StaleConnection {
                self.fault = Some("an end has broken the protocol");
            }
            self.cut(wire, to);
        }
    }

    fn on_answer(&mut self, wire: usize, message: &Handshake) {
        let dial = self.wires[wire].dial.clone();
        match self.dialer.handle_answer(self.now, &dial, message) {
            Ok(Answered::Attached(epoch)) => {
                self.wires[wire].dialer = End::Open { session: 0, epoch };
            }
            Ok(Answered::Complete) => self.cut(wire, Side::Dialer),
            Ok(Answered::Busy { .. } | Answered::Lost(_)) => {
                self.fault = Some("the acceptor refuses the dialer");
                self.wires[wire].close(Side::Dialer);
            }
            Err(_) => self.wires[wire].close(Side::Dialer),
        }
    }

    fn on_first_message(&mut self, wire: usize, message: &Handshake) {
        match message {
            Handshake::Hello(hello) => {
                let n = u8::try_from(self.sessions.len() + 1).expect("a few sessions");
                let credentials = (SessionId([n; 16]), Secret([n; 32]));
                let acceptor = Acceptor::new(self.now, self.options, hello, credentials);
                let session = self.sessions.len();
                self.sessions.push(Session {
                    id: acceptor.id(),
                    state: SessionState::Live(Box::new(acceptor)),
                    app: self.peer_app.clone(),
                });
                self.wires[wire].acceptor = End::Open { session, epoch: 0 };
            }
            Handshake::Resume(resume) => self.on_resume(wire, resume),
            Handshake::Welcome(_) | Handshake::Resumed(_) | Handshake::Reject(_) => {
                self.fault = Some("a dialer has sent an answer");
            }
        }
    }

    fn on_resume(&mut self, wire: usize, resume: &Resume) {
        let now = self.now;
        let known = self.sessions.iter().position(|s| s.id == resume.id);
        let forgets_epochs = self.without == Without::Epoch;
        let answer = match known.map(|at| (at, &mut self.sessions[at].state)) {
            Some((session, SessionState::Live(acceptor))) => {
                if forgets_epochs {
                    acceptor.epoch = 0;
                }
                match acceptor.handle_resume(now, resume) {
                    Ok(epoch) => {
                        self.drop_replaced(session);
                        self.wires[wire].acceptor = End::Open { session, epoch };
                        return;
                    }
                    Err(reject) => reject.encode(),
                }
            }
            Some((_, SessionState::Ended(tombstone))) => match tombstone.handle_resume(resume) {
                Ok(resumed) => resumed.encode(),
                Err(reject) => reject.encode(),
            },
            Some((_, SessionState::Unknown)) | None => reject_unknown(resume).encode(),
        };
        self.wires[wire].close(Side::Acceptor);
        if self.wires[wire].dialer != End::Closed {
            self.wires[wire].to_dialer.push_back(answer);
        }
    }

    /// The owner of a session drops the connection that was replaced.
    fn drop_replaced(&mut self, replaced: usize) {
        if self.without == Without::Offset {
            return;
        }
        for wire in &mut self.wires {
            if matches!(wire.acceptor, End::Open { session, .. } if session == replaced) {
                wire.close(Side::Acceptor);
            }
        }
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
