//! The end of a session that accepts its connections.

use std::time::Instant;

use super::core::{Core, Outcome, Role};
use super::error::Reason;
use super::handshake::{Hello, Refusal, Reject, Resume, Resumed, Welcome};
use super::options::Options;
use super::proof::{PROOF, Secret, SessionId};

/// The acceptor's end of a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Acceptor {
    id: SessionId,
    secret: Secret,
    /// The epoch of the last connection that was accepted.
    pub(super) epoch: u64,
    pub(crate) core: Core,
}

impl Acceptor {
    /// Begins a session on the connection that brought `hello`. Its WELCOME is the first output.
    ///
    /// The session is provisional until the dialer has sent a frame
    /// ([`Core::is_confirmed`]): the dialer may never get the WELCOME (R13).
    pub(crate) fn new(
        now: Instant,
        options: Options,
        hello: &Hello,
        (id, secret): (SessionId, Secret),
    ) -> Self {
        let mut core = Core::new(Role::Acceptor, options);
        let (_, limit) = core.tell();
        let welcome = Welcome {
            id,
            secret,
            limit,
            time_to_live: options.time_to_live_millis(),
        };
        // Nothing was sent, so nothing can be received.
        let _ = core.attach(now, 0, (0, hello.limit), &welcome.encode());
        Self {
            id,
            secret,
            epoch: 0,
            core,
        }
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    /// Returns whether the dialer that sent `resume` knows the secret of the session.
    pub(crate) fn is_proven(&self, resume: &Resume) -> bool {
        resume.is_proven_by(&self.secret)
    }

    /// Returns whether the epoch of `resume` is greater than those before.
    pub(crate) fn is_newer(&self, resume: &Resume) -> bool {
        resume.epoch > self.epoch
    }

    /// Continues the session on the connection that brought `resume`, and returns its epoch. The
    /// RESUMED is the first output. The connection before is detached: its input is refused.
    ///
    /// # Errors
    ///
    /// The answer to send instead. A wrong proof or an old epoch changes nothing (R6).
    pub(crate) fn handle_resume(&mut self, now: Instant, resume: &Resume) -> Result<u64, Reject> {
        if !resume.is_proven_by(&self.secret) {
            return Err(reject(Reason::Rejected));
        }
        // The expiry and the resume meet here alone (R10).
        let _ = self.core.handle_timeout(now);
        match self.core.outcome() {
            Some(Outcome::Lost(reason)) => return Err(reject(reason)),
            Some(Outcome::Complete) | None => {}
        }
        if !self.is_newer(resume) {
            return Err(reject(Reason::Superseded));
        }
        // First the reader of the old connection stops, then the offset is computed (R5).
        self.core.detach(now);
        self.epoch = resume.epoch;
        let (received, limit) = self.core.tell();
        let resumed = Resumed {
            epoch: resume.epoch,
            received,
            limit,
            is_complete: self.core.outcome() == Some(Outcome::Complete),
            proof: [0; PROOF],
        };
        let answer = resumed.prove(&self.secret, resume).encode();
        let offsets = (resume.received, resume.limit);
        match self.core.attach(now, resume.epoch, offsets, &answer) {
            Ok(()) => Ok(resume.epoch),
            Err(_) => Err(reject(Reason::Desynchronized)),
        }
    }

    /// Returns what is left of a session that has ended; `None` if it has not.
    pub(crate) fn tombstone(&self) -> Option<Tombstone> {
        Some(Tombstone {
            secret: self.secret,
            epoch: self.epoch,
            received: self.core.recv().received(),
            outcome: self.core.outcome()?,
        })
    }
}

/// What a session leaves for a while after it has ended, so that its dialer learns how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tombstone {
    secret: Secret,
    epoch: u64,
    received: u64,
    outcome: Outcome,
}

impl Tombstone {
    /// Returns the answer to a dialer that does not know that the session has ended.
    ///
    /// # Errors
    ///
    /// The answer if the session was lost, or if the proof is wrong or the epoch is old.
    pub(crate) fn handle_resume(&mut self, resume: &Resume) -> Result<Resumed, Reject> {
        if !resume.is_proven_by(&self.secret) {
            return Err(reject(Reason::Rejected));
        }
        if let Outcome::Lost(reason) = self.outcome {
            return Err(reject(reason));
        }
        if resume.epoch <= self.epoch {
            return Err(reject(Reason::Superseded));
        }
        self.epoch = resume.epoch;
        let resumed = Resumed {
            epoch: resume.epoch,
            received: self.received,
            limit: self.received,
            is_complete: true,
            proof: [0; PROOF],
        };
        Ok(resumed.prove(&self.secret, resume))
    }
}

/// Returns the answer to a RESUME of a session that is not known: the same as to a wrong proof, and
/// after the same work (R6).
pub(crate) fn reject_unknown(resume: &Resume) -> Reject {
    let _ = resume.is_proven_by(&Secret([0; 32]));
    reject(Reason::Rejected)
}

fn reject(reason: Reason) -> Reject {
    Reject {
        refusal: Refusal::Lost(reason.code()),
    }
}
