//! The mark of an error that a retry can't mend.

use std::error::Error;
use std::fmt;
use std::io;

/// Marks a connector's error as permanent: a retry can't succeed (a wrong password, a revoked
/// certificate).
///
/// The stream gives up immediately instead of using up its attempts. Only the outermost error that
/// the connector returns is checked for the mark, so convert it last.
///
/// # Examples
///
/// ```
/// use std::io;
/// use reconnecting_stream::Permanent;
///
/// fn check_login(reply: &str) -> io::Result<()> {
///     match reply {
///         "+OK" => Ok(()),
///         _ => Err(Permanent::new("the server refused the password").into()),
///     }
/// }
///
/// assert_eq!(check_login("-ERR").unwrap_err().to_string(), "the server refused the password");
/// ```
#[derive(Debug)]
pub struct Permanent(Box<dyn Error + Send + Sync>);

impl Permanent {
    /// Wraps an error or a message.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }

    /// Whether this error carries the mark.
    pub(crate) fn is_marked(error: &io::Error) -> bool {
        error
            .get_ref()
            .and_then(|error| error.downcast_ref::<Self>())
            .is_some()
    }
}

impl fmt::Display for Permanent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Permanent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

impl From<Permanent> for io::Error {
    /// Keeps the kind of a wrapped [`io::Error`]; anything else becomes
    /// [`Other`](io::ErrorKind::Other).
    fn from(permanent: Permanent) -> Self {
        let kind = permanent
            .0
            .downcast_ref::<Self>()
            .map_or(io::ErrorKind::Other, Self::kind);
        Self::new(kind, permanent)
    }
}
