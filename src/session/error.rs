//! The error of a session that is lost.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::protocol::Reason;
use crate::error::find;

/// The error of a session that is lost. Both ends get one, never a clean end of the stream.
///
/// It is inside an [`io::Error`] whose kind depends on the reason:
///
/// | reason | kind |
/// |---|---|
/// | [`Expired`](Reason::Expired) | [`TimedOut`](ErrorKind::TimedOut) |
/// | [`Rejected`](Reason::Rejected) | [`ConnectionRefused`](ErrorKind::ConnectionRefused) |
/// | [`PeerReset`](Reason::PeerReset), [`Desynchronized`](Reason::Desynchronized) | [`ConnectionReset`](ErrorKind::ConnectionReset) |
/// | [`Superseded`](Reason::Superseded), [`Evicted`](Reason::Evicted), [`Closed`](Reason::Closed) | [`ConnectionAborted`](ErrorKind::ConnectionAborted) |
///
/// What had arrived before is read first. Every later operation returns the same error, except a read
/// behind the peer's shutdown and a shutdown that the peer has acknowledged.
///
/// # Examples
///
/// ```
/// use reconnecting_stream::SessionLost;
///
/// fn unacknowledged(error: &std::io::Error) -> Option<u64> {
///     Some(SessionLost::find(error)?.unacknowledged)
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionLost {
    /// Why the session is lost.
    pub reason: Reason,
    /// The number of bytes that this end has written and the other one has not acknowledged. They
    /// may have arrived.
    pub unacknowledged: u64,
    /// The error that this end met, such as the [`GaveUp`](crate::GaveUp) of its policy.
    source: Option<Arc<io::Error>>,
}

impl SessionLost {
    pub(super) const fn new(
        reason: Reason,
        unacknowledged: u64,
        source: Option<Arc<io::Error>>,
    ) -> Self {
        Self {
            reason,
            unacknowledged,
            source,
        }
    }

    /// Returns the `SessionLost` inside an error, at any depth.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        find(error)
    }

    fn kind(&self) -> ErrorKind {
        match self.reason {
            Reason::Expired => ErrorKind::TimedOut,
            Reason::Rejected => ErrorKind::ConnectionRefused,
            Reason::PeerReset | Reason::Desynchronized => ErrorKind::ConnectionReset,
            Reason::Superseded | Reason::Evicted | Reason::Closed => ErrorKind::ConnectionAborted,
        }
    }
}

impl fmt::Display for SessionLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the session is lost: {}", self.reason)?;
        if self.unacknowledged > 0 {
            write!(f, " ({} bytes were not acknowledged)", self.unacknowledged)?;
        }
        Ok(())
    }
}

impl Error for SessionLost {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&**self.source.as_ref()?)
    }
}

impl From<SessionLost> for io::Error {
    fn from(lost: SessionLost) -> Self {
        Self::new(lost.kind(), lost)
    }
}
