//! What only the two ends of a session know.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The length of a proof, in bytes.
pub(crate) const PROOF: usize = 32;

/// The id of a session. It is no secret and may be logged: a peer that resumes a session proves that
/// it knows the session's secret, which neither end shows.
///
/// It displays as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub(crate) [u8; 16]);

impl SessionId {
    /// The id of a session that no server has accepted yet: all zeros.
    pub const NIL: Self = Self([0; 16]);
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The key of a session's proofs. It crosses the wire once, in WELCOME.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Secret(pub(crate) [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Who makes a proof. A proof of one side is none of the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Prover {
    Dialer,
    Acceptor,
}

impl Prover {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Dialer => b"reconnecting-stream session 1 dialer",
            Self::Acceptor => b"reconnecting-stream session 1 acceptor",
        }
    }
}

impl Secret {
    /// Returns the HMAC-SHA256 (RFC 2104) of the prover's label and the transcript.
    pub(crate) fn prove(&self, prover: Prover, transcript: &[&[u8]]) -> [u8; PROOF] {
        self.mac(prover, transcript).finalize().into_bytes().into()
    }

    /// Returns whether the proof is right, in a time that does not depend on its bytes.
    pub(crate) fn verify(&self, prover: Prover, transcript: &[&[u8]], proof: &[u8; PROOF]) -> bool {
        self.mac(prover, transcript).verify_slice(proof).is_ok()
    }

    fn mac(&self, prover: Prover, transcript: &[&[u8]]) -> Hmac<Sha256> {
        // A key that is shorter than a block of 64 bytes is padded with zeros (RFC 2104).
        let mut key = [0; 64];
        key[..self.0.len()].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&key.into());
        mac.update(prover.label());
        transcript.iter().for_each(|part| mac.update(part));
        mac
    }
}
