//! A connection with its codec, and the connector that makes both ready.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use pin_project::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Decoder, Framed};

use super::ReconnectingFramed;
use crate::connect::{Attempt, Connect};

/// Makes a fresh codec.
pub(super) type Codecs<U> = Arc<dyn Fn() -> U + Send + Sync>;

/// The codec of a connection, and what was read beyond its handshake.
pub(super) type Fresh<U> = (U, BytesMut);

/// A handshake on its way.
type Shaking<Io, U> = Pin<Box<dyn Future<Output = io::Result<Connection<Io, U>>> + Send>>;

/// Makes a connection ready for use.
pub(super) type Handshake<Io, U> = Arc<dyn Fn(Io, U) -> Shaking<Io, U> + Send + Sync>;

/// A connection whose handshake is done.
#[pin_project]
pub(super) struct Connection<Io, U> {
    #[pin]
    io: Io,
    /// Its codec, and what was read beyond the handshake, until somebody uses the connection.
    fresh: Option<Fresh<U>>,
}

impl<Io, U> Connection<Io, U> {
    pub(super) fn new(io: Io, codec: U) -> Self {
        Self {
            io,
            fresh: Some((codec, BytesMut::new())),
        }
    }

    pub(super) fn io(&self) -> &Io {
        &self.io
    }

    pub(super) fn io_mut(&mut self) -> &mut Io {
        &mut self.io
    }

    pub(super) fn into_io(self) -> Io {
        self.io
    }

    #[inline]
    pub(super) fn pinned(self: Pin<&mut Self>) -> Pin<&mut Io> {
        self.project().io
    }

    /// Whether nobody has used it yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh.is_some()
    }

    #[inline]
    pub(super) fn take_fresh(self: Pin<&mut Self>) -> Option<Fresh<U>> {
        self.project().fresh.take()
    }
}

impl<C: Connect, U> ReconnectingFramed<C, U> {
    /// Whether there is a connection, and it was taken over.
    #[inline]
    pub(super) fn is_settled(&self) -> bool {
        let connection = self.link.get_ref();
        connection.is_some_and(|connection| !connection.is_fresh())
    }

    /// Takes over a connection that has come up, and puts aside what is left of the one before.
    #[cold]
    pub(super) fn adopt(self: Pin<&mut Self>) {
        let this = self.project();
        match this.link.connection() {
            Some(connection) => {
                if let Some(fresh) = connection.take_fresh() {
                    this.inboxes.begin(fresh, this.outbox);
                }
            }
            None => this.inboxes.retire(this.outbox),
        }
    }
}

/// Runs the user's part of a handshake, and writes what it left to be flushed.
pub(super) async fn shake<Io, U, Fut>(
    on_connect: impl FnOnce(Framed<Io, U>) -> Fut,
    io: Io,
    codec: U,
) -> io::Result<Connection<Io, U>>
where
    Io: AsyncRead + AsyncWrite + Unpin,
    U: Decoder,
    Fut: Future<Output = io::Result<Framed<Io, U>>>,
{
    let mut parts = on_connect(Framed::new(io, codec)).await?.into_parts();
    while parts.write_buf.has_remaining() {
        let bytes = &parts.write_buf;
        let write = |cx: &mut Context<'_>| Pin::new(&mut parts.io).poll_write(cx, bytes);
        match poll_fn(write).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => parts.write_buf.advance(n),
        }
    }
    poll_fn(|cx| Pin::new(&mut parts.io).poll_flush(cx)).await?;
    Ok(Connection {
        io: parts.io,
        fresh: Some((parts.codec, parts.read_buf)),
    })
}

/// The user's connector, then the handshake: all of it is the attempt.
pub(super) struct Opener<C: Connect, U> {
    pub(super) connector: C,
    pub(super) codecs: Codecs<U>,
    pub(super) handshake: Option<Handshake<C::Io, U>>,
}

impl<C: Connect, U> Connect for Opener<C, U> {
    type Io = Connection<C::Io, U>;
    type Future = Opening<C, U>;

    fn connect(&mut self, attempt: &Attempt) -> Self::Future {
        Opening::Connecting {
            attempt: self.connector.connect(attempt),
            codecs: Arc::clone(&self.codecs),
            handshake: self.handshake.clone(),
        }
    }
}

#[pin_project(project = OpeningProj)]
pub(super) enum Opening<C: Connect, U> {
    Connecting {
        #[pin]
        attempt: C::Future,
        codecs: Codecs<U>,
        handshake: Option<Handshake<C::Io, U>>,
    },
    Shaking(Shaking<C::Io, U>),
}

impl<C: Connect, U> Future for Opening<C, U> {
    type Output = io::Result<Connection<C::Io, U>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match self.as_mut().project() {
                OpeningProj::Connecting {
                    attempt,
                    codecs,
                    handshake,
                } => {
                    let io = ready!(attempt.poll(cx))?;
                    let codec = codecs();
                    match handshake {
                        None => return Poll::Ready(Ok(Connection::new(io, codec))),
                        Some(handshake) => Self::Shaking(handshake(io, codec)),
                    }
                }
                OpeningProj::Shaking(shaking) => return shaking.as_mut().poll(cx),
            };
            self.set(next);
        }
    }
}
