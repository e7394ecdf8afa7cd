//! The messages with which a connection begins: one of the dialer, one of the acceptor.
//!
//! ```text
//! dialer   HELLO --------> acceptor      a new session
//!          <------ WELCOME
//!
//! dialer   RESUME -------> acceptor      a session goes on
//!          <------ RESUMED
//!
//!          <------ REJECT                the answer to either if it is refused
//! ```

use super::proof::{PROOF, Prover, Secret, SessionId};

/// The version of the protocol that this crate speaks.
pub(crate) const VERSION: u8 = 1;

/// The most bytes of metadata in a HELLO, in bytes.
pub(crate) const MAX_METADATA: usize = 1024;

/// The longest body of a handshake message without metadata, in bytes. No message of version 1 is
/// that long, so that later versions can add fields.
pub(crate) const MAX_HANDSHAKE: usize = 512;

pub(super) const MAGIC: [u8; 4] = *b"RSS1";

pub(crate) const HELLO: u8 = 0x01;
pub(crate) const WELCOME: u8 = 0x02;
pub(crate) const RESUME: u8 = 0x03;
pub(crate) const RESUMED: u8 = 0x04;
pub(crate) const REJECT: u8 = 0x05;

/// The flag of RESUMED that says that both directions are complete.
pub(super) const COMPLETE: u8 = 0x01;

/// Begins a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Hello {
    /// The acceptor may send everything before this offset.
    pub(crate) limit: u64,
    pub(crate) metadata: Vec<u8>,
}

/// Accepts a [`Hello`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Welcome {
    pub(crate) id: SessionId,
    pub(crate) secret: Secret,
    /// The dialer may send everything before this offset.
    pub(crate) limit: u64,
    /// How long the acceptor keeps the session without a connection, in milliseconds.
    pub(crate) time_to_live: u32,
}

/// Continues a session on another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Resume {
    pub(crate) id: SessionId,
    /// Greater than in every RESUME of this session before.
    pub(crate) epoch: u64,
    /// What the dialer has received.
    pub(crate) received: u64,
    pub(crate) limit: u64,
    /// Random, so that an answer to another RESUME is none to this one.
    pub(crate) nonce: [u8; 16],
    pub(crate) proof: [u8; PROOF],
}

/// Accepts a [`Resume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Resumed {
    pub(crate) epoch: u64,
    /// What the acceptor has received: the dialer continues there.
    pub(crate) received: u64,
    pub(crate) limit: u64,
    /// Both directions are complete. No frame follows.
    pub(crate) is_complete: bool,
    pub(crate) proof: [u8; PROOF],
}

/// Refuses a [`Hello`] or a [`Resume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reject {
    pub(crate) refusal: Refusal,
}

/// Why a handshake is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// The session is lost, for the [`Reason`](super::error::Reason) with this code.
    Lost(u8),
    /// The dialer may try again after so many milliseconds.
    Busy { retry_after: u32 },
    /// The acceptor does not speak the dialer's version.
    Version,
}

/// A message of a dialer or of an acceptor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Handshake {
    Hello(Hello),
    Welcome(Welcome),
    Resume(Resume),
    Resumed(Resumed),
    Reject(Reject),
}

impl Handshake {
    #[cfg(test)]
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello(hello) => hello.encode(),
            Self::Welcome(welcome) => welcome.encode(),
            Self::Resume(resume) => resume.encode(),
            Self::Resumed(resumed) => resumed.encode(),
            Self::Reject(reject) => reject.encode(),
        }
    }
}

impl Hello {
    /// Encodes the message. Metadata beyond [`MAX_METADATA`] is cut off.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let metadata = &self.metadata[..self.metadata.len().min(MAX_METADATA)];
        let [high, low] = u16::try_from(metadata.len()).unwrap_or(0).to_be_bytes();
        let limit = self.limit.to_be_bytes();
        message(HELLO, &[&MAGIC, &[VERSION], &limit, &[high, low], metadata])
    }
}

impl Welcome {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (limit, time_to_live) = (self.limit.to_be_bytes(), self.time_to_live.to_be_bytes());
        let fields: [&[u8]; 5] = [
            &[VERSION],
            &self.id.0,
            &self.secret.0,
            &limit,
            &time_to_live,
        ];
        message(WELCOME, &fields)
    }
}

impl Resume {
    /// Returns the message with its proof.
    pub(crate) fn prove(mut self, secret: &Secret) -> Self {
        self.proof = secret.prove(Prover::Dialer, &[&self.transcript()]);
        self
    }

    /// Returns whether the dialer knows the secret of the session.
    pub(crate) fn is_proven_by(&self, secret: &Secret) -> bool {
        secret.verify(Prover::Dialer, &[&self.transcript()], &self.proof)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        message(RESUME, &[&self.transcript(), &self.proof])
    }

    /// Returns the body before the proof.
    fn transcript(&self) -> Vec<u8> {
        let (epoch, received) = (self.epoch.to_be_bytes(), self.received.to_be_bytes());
        let limit = self.limit.to_be_bytes();
        let fields: [&[u8]; 7] = [
            &MAGIC,
            &[VERSION],
            &self.id.0,
            &epoch,
            &received,
            &limit,
            &self.nonce,
        ];
        fields.concat()
    }
}

impl Resumed {
    /// Returns the answer to `resume` with its proof, which covers both messages.
    pub(crate) fn prove(mut self, secret: &Secret, resume: &Resume) -> Self {
        let transcript: [&[u8]; 2] = [&resume.transcript(), &self.transcript()];
        self.proof = secret.prove(Prover::Acceptor, &transcript);
        self
    }

    /// Returns whether the acceptor knows the secret of the session, and answers `resume`.
    pub(crate) fn is_proven_by(&self, secret: &Secret, resume: &Resume) -> bool {
        let transcript: [&[u8]; 2] = [&resume.transcript(), &self.transcript()];
        let is_answer = self.epoch == resume.epoch;
        secret.verify(Prover::Acceptor, &transcript, &self.proof) && is_answer
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        message(RESUMED, &[&self.transcript(), &self.proof])
    }

    /// Returns the body before the proof.
    fn transcript(&self) -> Vec<u8> {
        let (epoch, received) = (self.epoch.to_be_bytes(), self.received.to_be_bytes());
        let (limit, flags) = (self.limit.to_be_bytes(), [u8::from(self.is_complete)]);
        let fields: [&[u8]; 5] = [&[VERSION], &epoch, &received, &limit, &flags];
        fields.concat()
    }
}

impl Reject {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (code, retry_after) = self.refusal.encode();
        message(REJECT, &[&[VERSION], &[code], &retry_after.to_be_bytes()])
    }
}

impl Refusal {
    const BUSY: u8 = 0x40;
    const VERSION: u8 = 0x41;

    fn encode(self) -> (u8, u32) {
        match self {
            Self::Lost(code) => (code, 0),
            Self::Busy { retry_after } => (Self::BUSY, retry_after),
            Self::Version => (Self::VERSION, 0),
        }
    }

    pub(super) fn decode(code: u8, retry_after: u32) -> Self {
        match code {
            Self::BUSY => Self::Busy { retry_after },
            Self::VERSION => Self::Version,
            code => Self::Lost(code),
        }
    }
}

fn message(kind: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    let [high, low] = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[kind, high, low], &body[..]].concat()
}
