//! The error of a seam.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::chain::chain;
use super::gave_up::GaveUp;

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
