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

use super::error::ProtocolError;
use super::frame::HEADER;
use super::proof::{PROOF, Prover, Secret, SessionId};

/// The version of the protocol that this crate speaks.
pub(crate) const VERSION: u8 = 1;

/// The most bytes of metadata in a HELLO, in bytes.
pub(crate) const MAX_METADATA: usize = 1024;

/// The longest body of a handshake message without metadata, in bytes. No message of version 1 is
/// that long, so that later versions can add fields.
pub(crate) const MAX_HANDSHAKE: usize = 512;

const MAGIC: [u8; 4] = *b"RSS1";

pub(crate) const HELLO: u8 = 0x01;
pub(crate) const WELCOME: u8 = 0x02;
pub(crate) const RESUME: u8 = 0x03;
pub(crate) const RESUMED: u8 = 0x04;
pub(crate) const REJECT: u8 = 0x05;

/// The flag of RESUMED that says that both directions are complete.
const COMPLETE: u8 = 0x01;

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
    /// Decodes the first message of a connection. Returns it with its length in `input`; `None` if
    /// more input is needed. The bytes behind it are frames.
    ///
    /// # Errors
    ///
    /// As soon as the input can't become a message, at the latest after its header. So no more
    /// than 3 bytes of header, [`MAX_HANDSHAKE`] and [`MAX_METADATA`] have to be kept.
    pub(crate) fn decode(input: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((&[kind, high, low], rest)) = input.split_first_chunk::<HEADER>() else {
            return match input.first() {
                Some(&kind) if !(HELLO..=REJECT).contains(&kind) => {
                    Err(ProtocolError::NotThisProtocol)
                }
                Some(_) | None => Ok(None),
            };
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let most = match kind {
            HELLO => MAX_HANDSHAKE + MAX_METADATA,
            WELCOME | RESUME | RESUMED | REJECT => MAX_HANDSHAKE,
            _ => return Err(ProtocolError::NotThisProtocol),
        };
        if len > most {
            return Err(ProtocolError::MalformedHandshake(kind));
        }
        if matches!(kind, HELLO | RESUME) {
            check_magic(rest)?;
        }
        let Some(body) = rest.get(..len) else {
            return Ok(None);
        };
        let message =
            Self::decode_body(kind, body).ok_or(ProtocolError::MalformedHandshake(kind))?;
        Ok(Some((message, HEADER + len)))
    }

    fn decode_body(kind: u8, body: &[u8]) -> Option<Self> {
        let fields = &mut Fields(body);
        if matches!(kind, HELLO | RESUME) {
            fields.array::<4>()?;
        }
        let [version] = fields.array()?;
        let message = Self::decode_fields(kind, fields)?;
        // The other messages have the version of the session, and a later version adds its fields
        // behind those of this one.
        let may_be_later = matches!(kind, HELLO | REJECT) && version > VERSION;
        let is_whole = version == VERSION && fields.0.is_empty();
        (is_whole || may_be_later).then_some(message)
    }

    fn decode_fields(kind: u8, fields: &mut Fields<'_>) -> Option<Self> {
        Some(match kind {
            HELLO => Self::Hello(Hello {
                limit: fields.u64()?,
                metadata: fields.metadata()?.to_vec(),
            }),
            WELCOME => Self::Welcome(Welcome {
                id: SessionId(fields.array()?),
                secret: Secret(fields.array()?),
                limit: fields.u64()?,
                time_to_live: fields.u32()?,
            }),
            RESUME => Self::Resume(Resume {
                id: SessionId(fields.array()?),
                epoch: fields.u64()?,
                received: fields.u64()?,
                limit: fields.u64()?,
                nonce: fields.array()?,
                proof: fields.array()?,
            }),
            RESUMED => Self::Resumed(Resumed {
                epoch: fields.u64()?,
                received: fields.u64()?,
                limit: fields.u64()?,
                is_complete: fields.flags()? == COMPLETE,
                proof: fields.array()?,
            }),
            _ => Self::Reject(Reject {
                refusal: Refusal::decode(fields.array::<1>()?[0], fields.u32()?),
            }),
        })
    }

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

    fn decode(code: u8, retry_after: u32) -> Self {
        match code {
            Self::BUSY => Self::Busy { retry_after },
            Self::VERSION => Self::Version,
            code => Self::Lost(code),
        }
    }
}

/// Checks as much of the magic as there is.
fn check_magic(body: &[u8]) -> Result<(), ProtocolError> {
    let (name, version) = MAGIC.split_at(3);
    let (name_read, version_read) = body.split_at(body.len().min(name.len()));
    if !name.starts_with(name_read) {
        return Err(ProtocolError::NotThisProtocol);
    }
    match version_read.first() {
        Some(byte) if [*byte] != *version => Err(ProtocolError::OtherVersion),
        Some(_) | None => Ok(()),
    }
}

fn message(kind: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    let [high, low] = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[kind, high, low], &body[..]].concat()
}

/// The fields of a body that were not decoded.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Flags that are not known are refused: the proof does not cover them.
    fn flags(&mut self) -> Option<u8> {
        let [flags] = self.array()?;
        (flags & !COMPLETE == 0).then_some(flags)
    }

    fn metadata(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(self.array().map(u16::from_be_bytes)?);
        let (metadata, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        (len <= MAX_METADATA).then_some(metadata)
    }
}
