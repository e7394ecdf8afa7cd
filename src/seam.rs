//! Where one connection ends and the next begins.

/// How a seam is reported to each half of a stream. A seam is the place in the byte stream where one
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
/// and the half is polled, before anything waits. Its next operation drives the reconnect. Several
/// seams between two operations of one half are one error.
///
/// Detect it with [`ConnectionLost::find`](crate::ConnectionLost::find), not by its kind. A
/// [`GaveUp`](crate::GaveUp) has the kind of the last error, which may be a reset too, and every
/// later operation returns it immediately, so a loop that continues after it would spin.
///
/// The half whose operation fails learns of the loss from that error. The other half learns of it
/// on its next operation, by which time the first may already use the next connection. Compare
/// [`ConnectionLost::generation`](crate::ConnectionLost::generation) with the generation on which
/// a request was written before repeating it.
///
/// A [`shutdown`](tokio::io::AsyncWrite::poll_shutdown) reports a pending loss to the writer before
/// it does anything, even during an outage, so that the writer can send its last bytes again. If a
/// shutdown ends an outage, a reader to which the loss was not reported gets the error before the end of
/// the stream, because its data is incomplete. A loss of the connection that was shut down is
/// reported whatever the seam, because no connection replaces it.
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
///             // Half a line of a dead connection: drop it and continue.
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
