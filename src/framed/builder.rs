//! The settings of messages, and their ways to begin.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Decoder, Framed};

use super::ReconnectingFramed;
use super::connection::{Codecs, Connection, Handshake, Opener, shake};
use super::inbox::Inboxes;
use super::outbox::{Outbox, Resend};
use crate::builder::Builder;
use crate::connect::Connect;
use crate::link::{Core, Link};

/// What is queued by default before the sink is full.
const MAX_QUEUED: usize = 64 * 1024;

/// The face of a [`Builder`] that makes a [`ReconnectingFramed`]: what it needs to know about
/// messages.
pub struct Framing<Io, U> {
    codecs: Codecs<U>,
    handshake: Option<Handshake<Io, U>>,
    resend: Resend,
    max_queued: usize,
}

impl<Io, U> Framing<Io, U> {
    pub(super) fn new(codecs: impl Fn() -> U + Send + Sync + 'static) -> Self {
        Self {
            codecs: Arc::new(codecs),
            handshake: None,
            resend: Resend::default(),
            max_queued: MAX_QUEUED,
        }
    }
}

impl<C, U> Builder<C, Framing<C::Io, U>>
where
    C: Connect,
{
    /// What becomes of messages that were fully handed to a connection that died.
    pub fn resend(mut self, resend: Resend) -> Self {
        self.face.resend = resend;
        self
    }

    /// How many bytes, encoded, may wait to be handed to a connection before the sink is full:
    /// 64 KiB by default, at least 1. One message may go beyond it.
    pub fn max_queued(mut self, bytes: usize) -> Self {
        self.face.max_queued = bytes;
        self
    }

    /// Shakes hands on every fresh connection (a login, a subscription), under the attempt
    /// timeout, before anything that is queued. Its error is that of the attempt: it is tried
    /// again unless it is marked as [`Permanent`](crate::Permanent). It has to read the answers to
    /// what it sends: those that it leaves are items of the stream.
    ///
    /// A connection that the builder [`wrap`](Self::wrap)s has shaken hands already.
    pub fn on_connect<F, Fut>(mut self, handshake: F) -> Self
    where
        F: Fn(Framed<C::Io, U>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<Framed<C::Io, U>>> + Send + 'static,
        C::Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        U: Decoder + Send + 'static,
    {
        let handshake = Arc::new(handshake);
        self.face.handshake = Some(Arc::new(move |io, codec| {
            let handshake = Arc::clone(&handshake);
            Box::pin(shake(move |framed| handshake(framed), io, codec))
        }));
        self
    }

    /// Makes the first connection now: by one attempt, unless
    /// [`retry_initial_connect`](Self::retry_initial_connect) is on.
    ///
    /// # Errors
    ///
    /// What the one attempt failed with, or [`TimedOut`](io::ErrorKind::TimedOut); with
    /// `retry_initial_connect` a [`GaveUp`](crate::GaveUp).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempt.
    pub async fn connect(self) -> io::Result<ReconnectingFramed<C, U>>
    where
        C::Io: Unpin,
    {
        let retry = self.retry_initial_connect;
        let (core, rest) = self.split();
        Ok(rest.over(Link::connect(retry, core).await?))
    }

    /// Makes the first connection at the first poll, under the policy.
    pub fn lazy(self) -> ReconnectingFramed<C, U> {
        let (core, rest) = self.split();
        rest.over(Link::lazy(core))
    }

    /// Begins with a connection that is there already: generation 1.
    pub fn wrap(self, io: C::Io) -> ReconnectingFramed<C, U> {
        let connection = Connection::new(io, (self.face.codecs)());
        let (core, rest) = self.split();
        rest.over(Link::wrap(core, connection))
    }

    fn split(self) -> (Core<Opener<C, U>>, Rest<U>) {
        let rest = Rest {
            outbox: Outbox::new(self.face.resend, self.face.max_queued),
            codecs: Arc::clone(&self.face.codecs),
        };
        let core = self.into_core(|connector, face| Opener {
            connector,
            codecs: face.codecs,
            handshake: face.handshake,
        });
        (core, rest)
    }
}

/// A [`ReconnectingFramed`] without its link.
struct Rest<U> {
    outbox: Outbox,
    codecs: Codecs<U>,
}

impl<U> Rest<U> {
    fn over<C: Connect>(self, link: Link<Opener<C, U>>) -> ReconnectingFramed<C, U> {
        ReconnectingFramed {
            link,
            inboxes: Inboxes::new(),
            outbox: self.outbox,
            codecs: self.codecs,
        }
    }
}

impl<Io, U> fmt::Debug for Framing<Io, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framing")
            .field("resend", &self.resend)
            .field("max_queued", &self.max_queued)
            .finish_non_exhaustive()
    }
}
