//! The errors that this crate puts inside an [`io::Error`], and that of halves of two streams.

mod reunite;

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "codec")]
use tokio_util::codec::{AnyDelimiterCodecError, LinesCodecError};

pub use reunite::ReuniteError;

/// The error of a seam: a connection was lost, with the data that was in flight.
///
/// With [`Seam::Error`](crate::Seam::Error) each half of a stream gets one of these, as an
/// [`io::Error`] of kind [`ConnectionReset`](io::ErrorKind::ConnectionReset), before it continues
/// on the next connection. Several losses between two operations of one half of a byte stream are
/// one error. The sink of a `ReconnectingFramed` gets none, because its messages continue on the
/// next connection.
///
/// After a shutdown no connection follows: the reader gets it with the kind of its cause, because
/// an end of the stream would look like a complete reply. The stream is
/// [`Closed`](crate::State::Closed) then.
///
/// # Examples
///
/// ```
/// use reconnecting_stream::ConnectionLost;
///
/// fn lost_generation(error: &std::io::Error) -> Option<u64> {
///     Some(ConnectionLost::find(error)?.generation)
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionLost {
    /// The generation of the connection that was lost. The first one of a stream is 1.
    pub generation: u64,
    /// The error that a read, a write or a flush met. The end of the stream is
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), an idle timeout
    /// [`TimedOut`](io::ErrorKind::TimedOut), a reconnect on demand
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
    pub cause: Arc<io::Error>,
    /// The number of bytes that had arrived and were dropped.
    ///
    /// It is 0 unless more than
    #[cfg_attr(feature = "codec", doc = "[`max_unread`](crate::Builder::max_unread)")]
    #[cfg_attr(not(feature = "codec"), doc = "`max_unread`")]
    /// or `max_unread_connections` waited for the reader of a `ReconnectingFramed`.
    pub dropped_bytes: u64,
}

impl ConnectionLost {
    /// Returns the loss inside an error, at any depth. Codecs and protocols wrap the [`io::Error`]
    /// of a stream in their own and return it as their [`source`](Error::source). The errors of
    /// `LinesCodec` and `AnyDelimiterCodec`, which have no source, are searched too. `None` for a
    /// [`GaveUp`] that contains a loss, because that stream does not continue.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        chain(error)
            .take_while(|error| !error.is::<GaveUp>())
            .find_map(|error| error.downcast_ref())
    }

    /// Converts to the error of a loss that no connection follows: it has the kind of its cause.
    pub(crate) fn into_final_error(self) -> io::Error {
        io::Error::new(self.cause.kind(), self)
    }
}

impl fmt::Display for ConnectionLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} was lost: {}", self.generation, self.cause)?;
        match self.dropped_bytes {
            0 => Ok(()),
            n => write!(f, " ({n} bytes that had arrived were dropped)"),
        }
    }
}

impl Error for ConnectionLost {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}

impl From<ConnectionLost> for io::Error {
    fn from(lost: ConnectionLost) -> Self {
        Self::new(io::ErrorKind::ConnectionReset, lost)
    }
}

/// The error of an outage that ended without a connection: the attempts or the time ran out, or the
/// error was [`Permanent`].
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
        write!(
            f,
            "gave up after {} attempts in {:.1?}: {}",
            self.attempts, self.outage, self.last_error
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

/// Returns the first error of this type in the chain of an error.
#[cfg(feature = "session")]
pub(crate) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// Returns the kind of the first [`io::Error`] in the chain of an error, or `Other`.
#[cfg(feature = "codec")]
pub(crate) fn kind_of(error: &(dyn Error + 'static)) -> io::ErrorKind {
    let first = chain(error).find_map(|error| error.downcast_ref());
    first.map_or(io::ErrorKind::Other, io::Error::kind)
}

/// Returns an error and its sources, outermost first.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        inner(error).or_else(|| error.source())
    })
}

/// Returns the error inside another one whose `source` does not return it: an [`io::Error`] skips
/// the error inside, and some codecs' errors have no source.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return Some(error.get_ref()?);
    }
    #[cfg(feature = "codec")]
    if let Some(LinesCodecError::Io(error)) = error.downcast_ref() {
        return Some(error);
    }
    #[cfg(feature = "codec")]
    if let Some(AnyDelimiterCodecError::Io(error)) = error.downcast_ref() {
        return Some(error);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct OfACodec(io::Error);

    impl fmt::Display for OfACodec {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("of a codec")
        }
    }

    impl Error for OfACodec {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_loss_is_found_inside_of_the_errors_of_other_crates() {
        let lost = ConnectionLost {
            generation: 3,
            cause: Arc::new(refused()),
            dropped_bytes: 0,
        };
        let direct = io::Error::from(lost);
        assert_eq!(ConnectionLost::find(&direct).unwrap().generation, 3);
        let wrapped = io::Error::other(OfACodec(direct));
        assert_eq!(ConnectionLost::find(&wrapped).unwrap().generation, 3);
        assert!(GaveUp::find(&wrapped).is_none());
        assert!(ConnectionLost::find(&refused()).is_none());
        assert!(ConnectionLost::find(&OfACodec(io::Error::other("no"))).is_none());
    }

    #[test]
    fn of_the_losses_of_two_nested_streams_the_outer_one_is_found() {
        let lost = |cause: io::Error| {
            io::Error::from(ConnectionLost {
                generation: 3,
                cause: Arc::new(cause),
                dropped_bytes: 0,
            })
        };
        let gave_up = |last_error: io::Error| {
            io::Error::from(GaveUp {
                attempts: 7,
                outage: Duration::ZERO,
                last_error: Arc::new(last_error),
            })
        };
        let over = gave_up(lost(refused()));
        assert!(GaveUp::find(&over).is_some() && ConnectionLost::find(&over).is_none());
        let goes_on = lost(gave_up(refused()));
        assert!(ConnectionLost::find(&goes_on).is_some() && GaveUp::find(&goes_on).is_none());
    }

    #[test]
    #[cfg(feature = "codec")]
    fn a_loss_is_found_inside_of_errors_of_codecs_that_have_no_source() {
        let lost = || ConnectionLost {
            generation: 3,
            cause: Arc::new(refused()),
            dropped_bytes: 0,
        };
        let lines = LinesCodecError::Io(lost().into());
        assert_eq!(ConnectionLost::find(&lines).unwrap().generation, 3);
        assert_eq!(kind_of(&lines), io::ErrorKind::ConnectionReset);
        let wrapped = io::Error::other(AnyDelimiterCodecError::Io(lost().into()));
        assert_eq!(ConnectionLost::find(&wrapped).unwrap().generation, 3);
        assert!(GaveUp::find(&wrapped).is_none());
        let long = LinesCodecError::MaxLineLengthExceeded;
        assert!(ConnectionLost::find(&long).is_none());
    }

    fn refused() -> io::Error {
        io::ErrorKind::ConnectionRefused.into()
    }

    #[test]
    fn a_lost_connection_is_a_reset_and_names_its_cause() {
        let error = io::Error::from(ConnectionLost {
            generation: 3,
            cause: Arc::new(io::ErrorKind::UnexpectedEof.into()),
            dropped_bytes: 0,
        });
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(
            error.to_string(),
            "connection 3 was lost: unexpected end of file"
        );
        let lost = error.get_ref().unwrap();
        let cause = lost.source().unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(cause.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn giving_up_keeps_the_kind_of_the_last_error() {
        let error = io::Error::from(GaveUp {
            attempts: 7,
            outage: Duration::from_millis(1500),
            last_error: Arc::new(refused()),
        });
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(
            error.to_string(),
            "gave up after 7 attempts in 1.5s: connection refused"
        );
        assert!(error.get_ref().unwrap().source().is_some());
    }

    #[test]
    fn the_permanent_mark_keeps_the_kind_and_is_found() {
        let error = io::Error::from(Permanent::new(refused()));
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(Permanent::is_marked(&error));
        assert!(!Permanent::is_marked(&refused()));
        assert_eq!(
            io::Error::from(Permanent::new("no")).kind(),
            io::ErrorKind::Other
        );
    }
}
