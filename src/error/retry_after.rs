//! The error of an attempt whose server asks to wait.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use super::chain::find;

/// The error of an attempt whose server is busy, and asks to wait for so long before the next one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryAfter(pub(crate) Duration);

/// The longest wait that a client grants. A wrong answer must not silence it for weeks, and without a
/// connection a session lives for no longer by default.
const MAX_WAIT: Duration = Duration::from_secs(120);

impl RetryAfter {
    /// Returns how long to wait after an attempt that failed with this error.
    pub(crate) fn of(error: &io::Error) -> Duration {
        find::<Self>(error).map_or(Duration::ZERO, |asked| asked.0.min(MAX_WAIT))
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the server is busy, and asks to retry after {:?}",
            self.0
        )
    }
}

impl Error for RetryAfter {}

impl From<RetryAfter> for io::Error {
    fn from(asked: RetryAfter) -> Self {
        Self::new(ErrorKind::ResourceBusy, asked)
    }
}
