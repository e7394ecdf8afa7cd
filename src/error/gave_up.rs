//! The error of an outage without an end.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::chain::chain;
use super::connection_lost::ConnectionLost;

/// The error of an outage that ended without a connection: the attempts or the time ran out, or the
/// error was [`Permanent`](crate::Permanent).
///
/// It is inside an [`io::Error`] of the kind of `last_error`, which may be the kind of a seam's
/// error: use [`find`](Self::find) to tell them apart. Every later operation returns the same error
/// until [`Handle::reconnect`](crate::Handle::reconnect) starts again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GaveUp {
    /// The number of attempts in the outage.
    pub attempts: u32,
    /// The length of the outage.
    pub outage: Duration,
    /// The error of the last attempt, or the cause of the loss if there was no attempt.
    pub last_error: Arc<io::Error>,
}

impl GaveUp {
    /// Returns the `GaveUp` inside an error, at any depth. `None` for a [`ConnectionLost`] that
    /// contains one, because that stream continues.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        chain(error)
            .take_while(|error| !error.is::<ConnectionLost>())
            .find_map(|error| error.downcast_ref())
    }
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts = match self.attempts {
            1 => "1 attempt".to_owned(),
            n => format!("{n} attempts"),
        };
        write!(
            f,
            "gave up after {attempts} in {:.1?}: {}",
            self.outage, self.last_error
        )
    }
}

impl Error for GaveUp {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.last_error)
    }
}

impl From<GaveUp> for io::Error {
    fn from(gave_up: GaveUp) -> Self {
        Self::new(gave_up.last_error.kind(), gave_up)
    }
}
