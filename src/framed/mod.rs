//! Messages over a link.

mod answers;
mod builder;
mod confirm;
mod connection;
mod hand_over;
mod inbox;
mod lengths;
mod lookout;
mod outbox;
mod read;
mod write;

use std::fmt;
use std::io;
use std::pin::Pin;

use bytes::BytesMut;
use pin_project::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::Decoder;

pub use builder::Framing;
pub use confirm::Confirmations;
pub use outbox::Resend;

use self::connection::{Codecs, Opener};
use self::inbox::Inboxes;
use self::outbox::Outbox;
use crate::builder::Builder;
use crate::connect::Connect;
use crate::link::{Handle, Link, State};

/// A stream and sink of messages that outlives its connections, and never tears a message.
///
/// It is to [`ReconnectingStream`](crate::ReconnectingStream) what
/// [`Framed`](tokio_util::codec::Framed) is to a `TcpStream`: a
/// [`Stream`](futures_core::Stream) of the messages that arrive, and a
/// [`Sink`](futures_sink::Sink) for those to send, over any codec of `tokio_util`. It can be
/// split (`futures::StreamExt::split`), and its halves be polled by two tasks.
///
/// # What is lost
///
/// - **Arriving**: whole messages that had arrived before the loss are delivered before anything
///   of the next connection. Half of one is dropped. The codec and the buffer are fresh on each
///   connection.
/// - **Leaving**: a message that was accepted and not fully handed to a connection goes whole to
///   the next one, in order. One that was cut is sent again whole; the peer can't have seen it
///   whole, so that is no duplicate.
/// - A message that was **fully handed** to a connection that died may or may not have arrived:
///   with [`Resend::Torn`], the default, it is not sent again. [`Resend::Unconfirmed`] keeps
///   messages until they are confirmed, and sends the rest again: at least once.
///
/// What the reader gets to know of a seam is up to the [`Seam`](crate::Seam): one `Err` item, the
/// end of the stream once, or nothing. The sink never fails because of a seam: what it has
/// accepted goes on.
///
/// # Codecs
///
/// A message is encoded when it is accepted, by the codec of the current connection, or by a
/// fresh one during an outage, and sent again as it is. So each message has to stand for itself;
/// the decoder may have state. A message that the codec can't decode ends the connection, since
/// nobody knows where the next one begins: the reader gets the codec's error, then the next
/// connection.
///
/// # Cancel safety
///
/// Dropping the future of a `next`, a `send` or [`connected`](Self::connected) loses nothing. A
/// `send` that is dropped may have accepted its message.
///
/// # Panics
///
/// Backoff and timeouts need a Tokio runtime with time enabled. A panic of the codec, of the
/// connector or of the handshake passes through; after one of the codec the connection is
/// dropped.
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
    link: Link<Opener<C, U>>,
    inboxes: Inboxes<U>,
    outbox: Outbox,
    codecs: Codecs<U>,
}

impl<C, U> ReconnectingFramed<C, U>
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite + Unpin,
    U: Decoder,
{
    /// Makes the first connection, by one attempt, under the default [`Policy`](crate::Policy).
    ///
    /// # Errors
    ///
    /// What the connector failed with, or [`TimedOut`](io::ErrorKind::TimedOut).
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

    /// Settings first. Each connection gets a clone of the codec.
    pub fn builder(connector: C, codec: U) -> Builder<C, Framing<C::Io, U>>
    where
        U: Clone + Send + Sync + 'static,
    {
        Self::builder_with(connector, move || codec.clone())
    }

    /// Settings first. Each connection gets a codec from the factory.
    pub fn builder_with<F>(connector: C, codecs: F) -> Builder<C, Framing<C::Io, U>>
    where
        F: Fn() -> U + Send + Sync + 'static,
    {
        Builder::new(connector, Framing::new(codecs))
    }
}

impl<C: Connect, U> ReconnectingFramed<C, U> {
    /// The number of the current connection, or of the last one if there is none now; 0 before
    /// the first.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.link.generation()
    }

    /// Where the link is.
    #[must_use]
    pub fn state(&self) -> State {
        self.link.state()
    }

    /// Watches and commands the link from elsewhere.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.link.handle()
    }

    /// Confirms messages from elsewhere: from the half that reads the peer's answers.
    #[must_use]
    pub fn confirmations(&self) -> Confirmations {
        Confirmations::new(self.outbox.pending(), self.link.waker())
    }

    /// The peer has the `n` oldest messages that were not confirmed: with
    /// [`Resend::Unconfirmed`] they are not sent again. More than were handed over count as all
    /// of those.
    ///
    /// For a peer that says **which** messages it has, so that saying it twice confirms nothing
    /// twice. If it only answers each message, count with [`answered`](Self::answered).
    pub fn confirm(&mut self, n: usize) {
        self.confirmations().confirm(n);
        self.outbox.apply_confirmations();
    }

    /// The peer has answered the next `n` messages of the connection that the last item came
    /// from: see [`Confirmations::answered`].
    pub fn answered(&mut self, n: usize) {
        self.confirmations().answered(n);
        self.outbox.apply_confirmations();
    }

    /// Messages that were accepted and may have to be sent again or are still to be sent.
    #[must_use]
    pub fn unconfirmed(&self) -> usize {
        self.outbox.len()
    }

    /// The connection; `None` while there is none.
    #[must_use]
    pub fn get_ref(&self) -> Option<&C::Io> {
        Some(self.link.get_ref()?.io())
    }

    /// The connection; `None` while there is none. Bytes that are read from it or written to it
    /// directly tear messages.
    pub fn get_mut(&mut self) -> Option<&mut C::Io> {
        self.inboxes.disturb();
        Some(self.link.get_mut()?.io_mut())
    }

    /// The connection, pinned; `None` while there is none.
    #[must_use]
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Option<Pin<&mut C::Io>> {
        let this = self.project();
        this.inboxes.disturb();
        Some(this.link.connection()?.pinned())
    }

    /// The codec of the current connection, once it has been used.
    #[must_use]
    pub fn codec(&self) -> Option<&U> {
        Some(self.inboxes.current()?.codec())
    }

    /// The codec of the current connection, once it has been used. The next connection begins
    /// with a fresh one.
    pub fn codec_mut(&mut self) -> Option<&mut U> {
        Some(self.inboxes.current_mut()?.codec_mut())
    }

    /// What has arrived and was not decoded yet.
    #[must_use]
    pub fn read_buffer(&self) -> Option<&BytesMut> {
        Some(self.inboxes.current()?.buffer())
    }

    /// Takes the connection out; `None` if there is none. What was read ahead, and what was
    /// accepted and not sent, is dropped.
    #[must_use]
    pub fn into_inner(self) -> Option<C::Io> {
        Some(self.link.into_inner()?.into_io())
    }

    /// Drops the connection now; the next operation dials again, without a delay.
    pub fn reconnect(&mut self)
    where
        C::Io: Unpin,
    {
        Pin::new(&mut self.link).redial();
    }

    /// Waits for a connection whose handshake is done, and returns its generation.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](crate::GaveUp), or [`NotConnected`](io::ErrorKind::NotConnected) if the link
    /// was closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn connected(&mut self) -> io::Result<u64>
    where
        C::Io: Unpin,
    {
        self.link.connected().await
    }
}

impl<C: Connect, U> fmt::Debug for ReconnectingFramed<C, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingFramed")
            .field("state", &self.state())
            .field("seam", &self.link.seam())
            .field("outbox", &self.outbox)
            .finish_non_exhaustive()
    }
}
