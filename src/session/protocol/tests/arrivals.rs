//! What an end does with what arrives.

use std::time::Instant;

use super::network::{Session, SessionState, World};
use super::rewrite::Without;
use super::wire::{End, Side};
use crate::session::protocol::acceptor::{Acceptor, reject_unknown};
use crate::session::protocol::core::Core;
use crate::session::protocol::dialer::Answered;
use crate::session::protocol::error::ProtocolError::{self, StaleConnection};
use crate::session::protocol::frame::DATA_HEADER;
use crate::session::protocol::handshake::{Handshake, Resume};
use crate::session::protocol::proof::{Secret, SessionId};

impl World {
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
            let reading = self.reads_twice.then(|| {
                let mut reading = core.clone();
                let read = read_into_space(&mut reading, now, epoch, bytes);
                (read, reading)
            });
            let handled = core.handle_input(now, epoch, bytes);
            if let Some((read, reading)) = reading {
                assert_eq!((handled, &*core), (read, &reading), "both ways to read");
            }
            handled
        };
        if let Err(error) = handled {
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
}

/// Handles `input` as a driver does that reads payloads into the receive buffer.
fn read_into_space(
    core: &mut Core,
    now: Instant,
    epoch: u64,
    mut input: &[u8],
) -> Result<(), ProtocolError> {
    core.handle_input(now, epoch, &[])?;
    while !input.is_empty() {
        let n = match core.space(epoch) {
            Some(space) => {
                let n = space.len().min(input.len());
                space[..n].copy_from_slice(&input[..n]);
                core.on_read(now, n);
                n
            }
            None => {
                let n = DATA_HEADER.min(input.len());
                core.handle_input(now, epoch, &input[..n])?;
                n
            }
        };
        input = &input[n..];
    }
    Ok(())
}
