//! The options of a stream of messages, and how a builder makes one.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Decoder, Framed};

use super::close::Closing;
use super::connector::{CodecFactory, Connection, FramedConnector, OnConnect, run_handshake};
use super::core::{Core, OfflineQueue, Options};
use super::reconnecting_framed::ReconnectingFramed;
use super::send_buffer::Resend;
use crate::builder::Builder;
use crate::connect::Connect;
use crate::link::Settings;
use crate::transfer::{Readiness, Transfer};

/// A [`Builder`] of a [`ReconnectingFramed`] over connections of `C`, with a codec `U`.
pub type FramedBuilder<C, U> = Builder<C, FramedOptions<<C as Connect>::Io, U>>;

/// What a [`FramedBuilder`] sets beyond a [`Builder`] of byte streams: the codec, the handshake and
/// the limits.
pub struct FramedOptions<Io, U> {
    codecs: CodecFactory<U>,
    handshake: Option<OnConnect<Io, U>>,
    options: Options,
}

impl<Io, U> FramedOptions<Io, U> {
    pub(super) fn new(codecs: impl Fn() -> U + Send + Sync + 'static) -> Self {
        Self {
            codecs: Arc::new(codecs),
            handshake: None,
            options: Options::default(),
        }
    }
}

impl<C, U> Builder<C, FramedOptions<C::Io, U>>
where
    C: Connect,
{
    /// Sets what happens to messages that were fully written to a connection that died.
    pub fn resend(mut self, resend: Resend) -> Self {
        self.kind.options.resend = resend;
        self
    }

    /// Sets how many bytes, encoded, may wait to be written before the sink is full: 64 KiB by
    /// default, at least 1. One message may exceed it.
    pub fn max_queued(mut self, bytes: usize) -> Self {
        self.kind.options.max_queued = bytes;
        self
    }

    /// Sets what happens to messages that are sent while there is no connection:
    /// [`OfflineQueue::Keep`] by default.
    pub fn offline_queue(mut self, offline: OfflineQueue) -> Self {
        self.kind.options.offline = offline;
        self
    }

    /// Sets whether messages that were accepted before a loss and not fully written are sent on
    /// the next connection: true by default.
    ///
    /// With false they are dropped at the loss, the one that was torn included, and
    /// [`dropped_messages`](ReconnectingFramed::dropped_messages) counts them. Messages that
    /// were fully written to an earlier connection are not affected: [`Resend`] decides about those.
    ///
    /// A flush does not report the dropped messages: it succeeds when nothing is left to write. A
    /// close reports those that are dropped while it runs.
    pub fn keep_unsent(mut self, keep: bool) -> Self {
        self.kind.options.keeps_unsent = keep;
        self
    }

    /// Sets how many bytes may wait for the reader when a connection begins or ends: 1 MiB by default.
    /// The bytes of all connections count, those that a handshake has read too much included.
    ///
    /// Beyond it the remainders of whole lost connections are dropped, the oldest first. The seam
    /// reports how much that was, in
    /// [`ConnectionLost::dropped_bytes`](crate::ConnectionLost::dropped_bytes). A sender
    /// stops reading ahead at 64 KiB.
    pub fn max_unread(mut self, bytes: usize) -> Self {
        self.kind.options.limits.bytes = bytes;
        self
    }

    /// Sets of how many lost connections the remainder may wait for the reader: 8 by default,
    /// at least 1.
    ///
    /// Beyond it the oldest one's remainder is dropped, and its seam reports how much that was. Seams
    /// with nothing between them are kept apart up to 64 beyond this number, and merged above it.
    pub fn max_unread_connections(mut self, connections: usize) -> Self {
        self.kind.options.limits.connections = connections;
        self
    }

    /// Sets a handshake (a login, a subscription), which runs on every fresh connection under the
    /// attempt timeout, before anything that is queued. Its error is that of the attempt, which is
    /// retried unless the error is marked as [`Permanent`](crate::Permanent). The handshake has to
    /// read the replies to its own messages: those that it leaves become items of the stream.
    ///
    /// It does not run on a connection that the builder [`wrap`](Self::wrap)s.
    pub fn on_connect<F, Fut>(mut self, handshake: F) -> Self
    where
        F: Fn(Framed<C::Io, U>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<Framed<C::Io, U>>> + Send + 'static,
        C::Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        U: Decoder + Send + 'static,
    {
        let handshake = Arc::new(handshake);
        self.kind.handshake = Some(Arc::new(move |io, codec| {
            let handshake = Arc::clone(&handshake);
            Box::pin(run_handshake(move |framed| handshake(framed), io, codec))
        }));
        self
    }

    /// Makes the first connection now, with one attempt unless
    /// [`retry_initial_connect`](Self::retry_initial_connect) is on.
    ///
    /// # Errors
    ///
    /// The error of the one attempt, or [`TimedOut`](io::ErrorKind::TimedOut); with
    /// `retry_initial_connect` a [`GaveUp`](crate::GaveUp), or an error of an attempt that the policy
    /// [surfaces](crate::Verdict::Surface).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempt.
    pub async fn connect(self) -> io::Result<ReconnectingFramed<C, U>>
    where
        C::Io: Unpin,
    {
        let (connector, settings, rest) = self.split();
        Ok(rest.over(Transfer::connect(connector, settings).await?))
    }

    /// Returns a stream that makes its first connection when it is polled, under the policy.
    pub fn lazy(self) -> ReconnectingFramed<C, U> {
        let (connector, settings, rest) = self.split();
        rest.over(Transfer::lazy(connector, settings))
    }

    /// Returns a stream over a connection that exists already: generation 1.
    pub fn wrap(self, io: C::Io) -> ReconnectingFramed<C, U> {
        let connection = Connection::new(io, (self.kind.codecs)());
        let (connector, settings, rest) = self.split();
        rest.over(Transfer::wrap(connector, settings, connection))
    }

    fn split(self) -> (FramedConnector<C, U>, Settings, FramedParts<U>) {
        let parts = FramedParts {
            core: Core::new(self.kind.options),
            codecs: Arc::clone(&self.kind.codecs),
        };
        let connector = FramedConnector {
            connector: self.connector,
            codecs: self.kind.codecs,
            handshake: self.kind.handshake,
        };
        (connector, self.settings, parts)
    }
}

/// A [`ReconnectingFramed`] without its transfer.
struct FramedParts<U> {
    core: Core<U>,
    codecs: CodecFactory<U>,
}

impl<U> FramedParts<U> {
    fn over<C: Connect>(
        self,
        transfer: Transfer<FramedConnector<C, U>>,
    ) -> ReconnectingFramed<C, U> {
        ReconnectingFramed {
            readiness: Readiness::new(transfer.waker()),
            transfer,
            core: self.core,
            codecs: self.codecs,
            closing: Closing::default(),
        }
    }
}

impl<Io, U> fmt::Debug for FramedOptions<Io, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FramedOptions")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
