//! Decodes the handshake messages.

use super::error::ProtocolError;
use super::frame::HEADER;
use super::handshake::{
    COMPLETE, HELLO, Handshake, Hello, MAGIC, MAX_HANDSHAKE, MAX_METADATA, REJECT, RESUME, RESUMED,
    Refusal, Reject, Resume, Resumed, VERSION, WELCOME, Welcome,
};
use super::proof::{Secret, SessionId};

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
