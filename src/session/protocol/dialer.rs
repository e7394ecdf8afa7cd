//! The end of a session that makes its connections.

use std::time::Instant;

use super::core::{Core, Outcome, Role};
use super::error::{ProtocolError, Reason};
use super::handshake::{Handshake, Hello, Refusal, Reject, Resume, Resumed, Welcome};
use super::options::Options;
use super::proof::{PROOF, Secret, SessionId};

/// The dialer's end of a session.
///
/// It dials until the session has ended, also when the application has finished: only DONE, or a
/// RESUMED that says that the session is complete, tells it that its last acknowledgment has
/// arrived (R9).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Dialer {
    metadata: Vec<u8>,
    /// What the acceptor said in its WELCOME.
    credentials: Option<(SessionId, Secret)>,
    /// The epoch of the last dial.
    epoch: u64,
    pub(crate) core: Core,
}

/// One dial: the message to send on the new connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Dial {
    epoch: u64,
    /// `None` for a HELLO.
    resume: Option<Resume>,
    pub(crate) message: Vec<u8>,
}

/// What an answer of the acceptor means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answered {
    /// The connection of this epoch is attached.
    Attached(u64),
    /// The session is complete: there is nothing to attach.
    Complete,
    /// The acceptor asks to dial again after so many milliseconds.
    Busy { retry_after: u32 },
    /// The session is lost.
    Lost(Reason),
}

impl Dialer {
    /// `metadata` is what the acceptor's application is told about the session.
    pub(crate) fn new(options: Options, metadata: Vec<u8>) -> Self {
        Self {
            metadata,
            credentials: None,
            epoch: 0,
            core: Core::new(Role::Dialer, options),
        }
    }

    /// Returns the id of the session, once the acceptor has given it one.
    pub(crate) fn id(&self) -> Option<SessionId> {
        Some(self.credentials?.0)
    }

    /// Begins a dial. Every dial before is void: its connection is detached, and its answer is
    /// refused.
    pub(crate) fn dial(&mut self, now: Instant, nonce: [u8; 16]) -> Dial {
        self.core.detach(now);
        self.epoch += 1;
        let (received, limit) = self.core.tell();
        let Some((id, secret)) = self.credentials else {
            let metadata = self.metadata.clone();
            return Dial {
                epoch: self.epoch,
                resume: None,
                message: Hello { limit, metadata }.encode(),
            };
        };
        let resume = Resume {
            id,
            epoch: self.epoch,
            received,
            limit,
            nonce,
            proof: [0; PROOF],
        };
        let resume = resume.prove(&secret);
        Dial {
            epoch: self.epoch,
            resume: Some(resume),
            message: resume.encode(),
        }
    }

    /// Handles the answer to a dial.
    ///
    /// # Errors
    ///
    /// The answer is not one, not from the acceptor of the session, or not to the last dial. The
    /// connection is dropped, and the session stays.
    pub(crate) fn handle_answer(
        &mut self,
        now: Instant,
        dial: &Dial,
        answer: &Handshake,
    ) -> Result<Answered, ProtocolError> {
        if dial.epoch != self.epoch {
            return Err(ProtocolError::StaleConnection);
        }
        match (answer, &dial.resume) {
            (Handshake::Welcome(welcome), None) => Ok(self.on_welcome(now, dial.epoch, welcome)),
            (Handshake::Resumed(resumed), Some(resume)) => self.on_resumed(now, resume, resumed),
            (Handshake::Reject(Reject { refusal }), _) => Ok(self.on_refusal(*refusal)),
            // An answer to something else, or no answer at all.
            (
                Handshake::Welcome(_)
                | Handshake::Resumed(_)
                | Handshake::Hello(_)
                | Handshake::Resume(_),
                _,
            ) => Err(ProtocolError::NotThisProtocol),
        }
    }

    fn on_welcome(&mut self, now: Instant, epoch: u64, welcome: &Welcome) -> Answered {
        self.credentials = Some((welcome.id, welcome.secret));
        self.core.set_time_to_live(welcome.time_to_live);
        // Nothing was sent, so nothing can be received.
        let _ = self.core.attach(now, epoch, (0, welcome.limit), &[]);
        Answered::Attached(epoch)
    }

    fn on_resumed(
        &mut self,
        now: Instant,
        resume: &Resume,
        resumed: &Resumed,
    ) -> Result<Answered, ProtocolError> {
        let is_proven = self
            .credentials
            .is_some_and(|(_, secret)| resumed.is_proven_by(&secret, resume));
        if !is_proven {
            return Err(ProtocolError::BadProof);
        }
        let offsets = (resumed.received, resumed.limit);
        if self.core.attach(now, resume.epoch, offsets, &[]).is_err() {
            return Ok(Answered::Lost(Reason::Desynchronized));
        }
        if !resumed.is_complete {
            return Ok(Answered::Attached(resume.epoch));
        }
        match self.core.complete() {
            Ok(()) => Ok(Answered::Complete),
            Err(_) => Ok(self.lose(Reason::Desynchronized)),
        }
    }

    fn on_refusal(&mut self, refusal: Refusal) -> Answered {
        match refusal {
            Refusal::Busy { retry_after } => Answered::Busy { retry_after },
            Refusal::Lost(code) => self.lose(Reason::from_code(code)),
            Refusal::Version => self.lose(Reason::Rejected),
        }
    }

    fn lose(&mut self, reason: Reason) -> Answered {
        self.core.lose(reason);
        match self.core.outcome() {
            Some(Outcome::Lost(reason)) => Answered::Lost(reason),
            Some(Outcome::Complete) | None => Answered::Complete,
        }
    }
}
