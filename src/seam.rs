//! Where one connection ends and the next begins.

/// What the user of a stream gets to know of a seam, the place in the byte stream where one
/// connection ends and the next begins.
///
/// | | the reader gets | the writer gets |
/// |---|---|---|
/// | `Hidden` | nothing | nothing |
/// | `Error` | one error | one error |
/// | `Eof` | one end of stream | one error |
///
/// The error is a [`ConnectionReset`](std::io::ErrorKind::ConnectionReset) with a
/// [`ConnectionLost`](crate::ConnectionLost) inside. A half gets it as soon as the loss is known
/// and the half is polled, before anything waits; its next operation drives the reconnect.
/// Several seams between two operations of one half are one error.
///
/// Tell it by [`ConnectionLost::find`](crate::ConnectionLost::find), not by its kind: a
/// [`GaveUp`](crate::GaveUp) has the kind of the last error, which may be a reset, too, and every
/// later operation answers it at once, so that a loop which goes on after it would spin.
///
/// A half that meets a loss itself has heard of it; the other one hears of it at its own next
/// operation, perhaps when the first one uses the next connection already. So compare
/// [`ConnectionLost::generation`](crate::ConnectionLost::generation) with the generation on which
/// a request was written before repeating it.
///
/// A [`shutdown`](tokio::io::AsyncWrite::poll_shutdown) tells a writer that has not heard yet
/// before it does anything, even during an outage: the writer may want to send its last words
/// again. And a reader that has not heard yet when a shutdown has ended an outage does not get
/// the end of the stream before the error, since what it has read is not all. The loss of the
/// connection that was shut down is told whatever the seam, as nothing replaces that connection.
///
/// # Examples
///
/// ```
/// use std::io;
/// use reconnecting_stream::{Connect, ConnectionLost, ReconnectingStream};
/// use tokio::io::{AsyncRead, AsyncReadExt};
///
/// async fn read_lines<C: Connect<Io: AsyncRead + Unpin>>(
///     stream: &mut ReconnectingStream<C>,
/// ) -> io::Result<()> {
///     let mut line = Vec::new();
///     loop {
///         match stream.read_u8().await {
///             Ok(b'\n') => line.clear(), // a whole line
///             Ok(byte) => line.push(byte),
///             // Half a line of a connection that is gone: drop it, go on.
///             Err(error) if ConnectionLost::find(&error).is_some() => line.clear(),
///             Err(error) => return Err(error),
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Seam {
    /// The swap is invisible. Bytes that the old connection had accepted may be lost, and a
    /// write may be cut in two: for streams whose bytes stand for themselves, such as a log.
    #[default]
    Hidden,
    /// Each half gets one error.
    Error,
    /// The reader gets the end of the stream once, as from a plain connection; the writer one
    /// error.
    Eof,
}
