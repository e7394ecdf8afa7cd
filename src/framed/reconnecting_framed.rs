//! The stream and sink of messages.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use pin_project::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::Decoder;

use super::builder::{FramedBuilder, FramedOptions};
use super::close::Closing;
use super::connector::{CodecFactory, FramedConnector};
use super::core::Core;
use super::pump::Pump;
#[cfg(doc)]
use super::resend::Resend;
use crate::builder::Builder;
use crate::connect::Connect;
use crate::link::Role;
use crate::transfer::{Op, Readiness, Transfer};

pub(super) type FramedTransfer<C, U> = Transfer<FramedConnector<C, U>>;

/// A stream and sink of messages that outlives its connections, and never tears a message.
///
/// It is to [`ReconnectingStream`](crate::ReconnectingStream) what
/// [`Framed`](tokio_util::codec::Framed) is to a `TcpStream`: a
/// [`Stream`](futures_core::Stream) of the messages that arrive, and a
/// [`Sink`](futures_sink::Sink) for those to send, over any codec of `tokio_util`. It can be
/// split (`futures::StreamExt::split`), and two tasks can poll its halves.
///
/// # What is lost
///
/// - **Arriving**: whole messages that had arrived before the loss are delivered before anything
///   of the next connection. Half of one is dropped. The codec and the buffer are fresh on each
///   connection.
/// - **Leaving**: a message that was accepted and not fully written to a connection is sent whole
///   on the next one, in order. One that was cut is sent again whole. The peer can't have received
///   it whole, so that is no duplicate.
/// - A message that was **fully written** to a connection that died may or may not have arrived.
///   With [`Resend::Torn`], the default, it is not sent again. [`Resend::Unconfirmed`] keeps
///   messages until they are confirmed, and sends the rest again: at least once.
///
/// The [`Seam`](crate::Seam) decides how a seam is reported to the reader: by one `Err` item, by the
/// end of the stream once, or not at all. The sink never fails because of a seam: messages that it
/// has accepted are sent on the next connection.
///
/// # Codecs
///
/// A message is encoded when it is accepted, by the codec of the current connection, or by a
/// fresh one during an outage, and sent again as it is. So each message has to stand for itself,
/// and the copy that is sent again carries no mark of that (the DUP flag of MQTT); the decoder may
/// have state. A message without bytes is complete immediately. A message that the codec can't decode ends the connection, because
/// the start of the next message is unknown. The reader gets the codec's error, then
/// what the seam reports, then the items of the next connection.
///
/// # Cancel safety
///
/// Dropping the future of a `next` or of [`connected`](Self::connected) loses nothing. A `send`
/// that is dropped may have accepted its message; if it has not, the message is dropped with it.
///
/// # Panics
///
/// Backoff and timeouts need a Tokio runtime with time enabled. A panic of the codec, of the
/// connector or of the handshake continues in the task that polled; after one of the codec the
/// connection is dropped. A panic of the observer during the poll that would have returned an error
/// of the decoder takes the place of that error.
///
/// # Examples
///
/// ```no_run
/// use futures::{SinkExt, StreamExt};
/// use reconnecting_stream::ReconnectingFramed;
/// use tokio::net::TcpStream;
/// use tokio_util::codec::LinesCodec;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let connector = || TcpStream::connect("127.0.0.1:7000");
/// let mut lines = ReconnectingFramed::builder(connector, LinesCodec::new())
///     .on_connect(|mut framed| async move {
///         // On every fresh connection, before anything queued.
///         framed.send("HELLO").await.map_err(std::io::Error::other)?;
///         Ok(framed)
///     })
///     .connect()
///     .await?;
/// lines.send("a line").await?;
/// while let Some(line) = lines.next().await {
///     println!("{}", line?);
/// }
/// # Ok(())
/// # }
/// ```
#[pin_project]
pub struct ReconnectingFramed<C: Connect, U> {
    #[pin]
    pub(super) transfer: FramedTransfer<C, U>,
    pub(super) core: Core<U>,
    pub(super) readiness: Readiness,
    pub(super) codecs: CodecFactory<U>,
    pub(super) closing: Closing,
}

impl<C, U> ReconnectingFramed<C, U>
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite + Unpin,
    U: Decoder,
{
    /// Makes the first connection with one attempt, under the default [`Policy`](crate::Policy).
    ///
    /// # Errors
    ///
    /// The error of the connector, or [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempt.
    pub async fn connect(connector: C, codec: U) -> io::Result<Self>
    where
        U: Clone + Send + Sync + 'static,
    {
        Self::builder(connector, codec).connect().await
    }

    /// Returns a builder, to set a policy and options before connecting. Each connection gets a clone
    /// of the codec.
    pub fn builder(connector: C, codec: U) -> FramedBuilder<C, U>
    where
        U: Clone + Send + Sync + 'static,
    {
        Self::builder_with(connector, move || codec.clone())
    }

    /// Returns a builder whose connections get their codecs from a factory.
    pub fn builder_with<F>(connector: C, codecs: F) -> FramedBuilder<C, U>
    where
        F: Fn() -> U + Send + Sync + 'static,
    {
        Builder::new(connector, FramedOptions::new(codecs))
    }
}

impl<C, U> ReconnectingFramed<C, U>
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite + Unpin,
{
    /// Drops the connection now; the next operation dials again without a delay. What has arrived
    /// is delivered first.
    pub fn reconnect(&mut self) {
        Pin::new(self).drop_connection(Transfer::reconnect);
    }

    /// Declares the connection dead, with this cause: a loss like any other, under the backoff.
    /// Does nothing if there is no connection. What has arrived is delivered first.
    ///
    /// For what only the application can see: a protocol error, a missed heartbeat.
    pub fn mark_lost(&mut self, cause: io::Error) {
        Pin::new(self).drop_connection(|transfer| transfer.mark_lost(cause));
    }

    /// Waits for a connection whose handshake is done, and returns its generation.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](crate::GaveUp), [`NotConnected`](io::ErrorKind::NotConnected) if the stream was
    /// closed, or an error of an attempt that the policy
    /// [surfaces](crate::Verdict::Surface).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn connected(&mut self) -> io::Result<u64> {
        poll_fn(|cx| {
            let mut this = Pin::new(&mut *self);
            this.as_mut().sync();
            let parts = this.as_mut().project();
            let mut pump = Pump::new(Op::Receive, parts.core, parts.readiness);
            let connected = parts.transfer.poll_connected(Role::Connect, cx, &mut pump);
            this.sync();
            connected
        })
        .await
    }

    /// Writes and flushes everything that was accepted, on this connection or the next.
    ///
    /// It does not wait for messages that the settings drop, and does not report them:
    /// [`dropped_messages`](Self::dropped_messages) counts them. The same as `SinkExt::flush`, for codecs that encode several types.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](crate::GaveUp), [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the stream was
    /// closed with messages to send, or an error that the policy
    /// [surfaces](crate::Verdict::Surface).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing. A message that was written in part is completed by the
    /// next flush.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut *self).poll_flushed(cx)).await
    }

    /// Sends everything that was accepted, then shuts the connection down. No other one follows. Items can be
    /// received until the peer closes.
    ///
    /// With [`Resend::Unconfirmed`], messages that were not confirmed are sent again if the
    /// connection is lost before the shutdown is complete. The same as `SinkExt::close`, for
    /// codecs that encode several types.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](crate::GaveUp), after which a reconnect starts again;
    /// [`ConnectionLost`](crate::ConnectionLost) if the connection was lost while it was shut down
    /// and nothing had to be sent again; [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the stream
    /// was closed with messages to send.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; the next close continues.
    pub async fn close(&mut self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut *self).poll_closed(cx)).await
    }
}

impl<C: Connect, U> fmt::Debug for ReconnectingFramed<C, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingFramed")
            .field("state", &self.state())
            .field("seam", &self.transfer.seam())
            .field("send", &self.core.send)
            .finish_non_exhaustive()
    }
}
