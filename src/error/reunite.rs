//! The error of halves that don't belong together.

use std::error::Error;
use std::fmt;

/// The halves that were to be reunited are of two streams. It returns them.
///
/// The error of [`ReconnectingReadHalf::reunite`](crate::ReconnectingReadHalf::reunite)
#[cfg_attr(
    feature = "session",
    doc = "and [`ResumableReadHalf::reunite`](crate::ResumableReadHalf::reunite)."
)]
#[cfg_attr(
    not(feature = "session"),
    doc = "and of the halves of sessions, behind the feature `session`."
)]
#[derive(Debug)]
pub struct ReuniteError<R, W>(pub R, pub W);

impl<R, W> fmt::Display for ReuniteError<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tried to reunite the halves of two streams")
    }
}

impl<R: fmt::Debug, W: fmt::Debug> Error for ReuniteError<R, W> {}
