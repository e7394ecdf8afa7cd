//! The connector of messages: the user's connector, then the handshake, with a fresh codec.

use std::future::{Future, Ready, poll_fn, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use pin_project::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Decoder, Framed};

use crate::connect::{Attempt, Connect, Step, Then};

/// Makes a codec for each connection.
pub(super) type CodecFactory<U> = Arc<dyn Fn() -> U + Send + Sync>;

/// A running handshake.
type HandshakeFuture<Io, U> = Pin<Box<dyn Future<Output = io::Result<Connection<Io, U>>> + Send>>;

/// Starts the handshake that [`on_connect`](crate::Builder::on_connect) sets.
pub(super) type OnConnect<Io, U> = Arc<dyn Fn(Io, U) -> HandshakeFuture<Io, U> + Send + Sync>;

/// A connection whose handshake is done.
#[pin_project]
pub(super) struct Connection<Io, U> {
    #[pin]
    io: Io,
    /// `None` once the connection is installed.
    read_parts: Option<ReadParts<U>>,
}

/// The reading side of a connection before it is installed: its codec, and the bytes that were read
/// beyond its handshake.
pub(super) struct ReadParts<U> {
    pub(super) codec: U,
    pub(super) read: BytesMut,
}

impl<Io, U> Connection<Io, U> {
    pub(super) fn new(io: Io, codec: U) -> Self {
        let read = BytesMut::new();
        Self {
            io,
            read_parts: Some(ReadParts { codec, read }),
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
    pub(super) fn io_pin_mut(self: Pin<&mut Self>) -> Pin<&mut Io> {
        self.project().io
    }

    pub(super) fn take_read_parts(self: Pin<&mut Self>) -> Option<ReadParts<U>> {
        self.project().read_parts.take()
    }
}

/// Runs the user's part of a handshake, and writes what that left unwritten.
pub(super) async fn run_handshake<Io, U, Fut>(
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
    let (codec, read) = (parts.codec, parts.read_buf);
    Ok(Connection {
        io: parts.io,
        read_parts: Some(ReadParts { codec, read }),
    })
}

/// The user's connector, then the handshake. Both together are one attempt.
pub(super) struct FramedConnector<C: Connect, U> {
    pub(super) connector: C,
    pub(super) codecs: CodecFactory<U>,
    pub(super) handshake: Option<OnConnect<C::Io, U>>,
}

impl<C: Connect, U> Connect for FramedConnector<C, U> {
    type Io = Connection<C::Io, U>;
    type Future = FramedAttempt<C, U>;

    fn connect(&mut self, attempt: &Attempt) -> Self::Future {
        Then::Connecting {
            attempt: self.connector.connect(attempt),
            step: StartHandshake {
                codecs: Arc::clone(&self.codecs),
                handshake: self.handshake.clone(),
            },
        }
    }
}

/// One attempt of a [`FramedConnector`].
pub(super) type FramedAttempt<C, U> = Then<
    <C as Connect>::Future,
    StartHandshake<<C as Connect>::Io, U>,
    FramedHandshake<<C as Connect>::Io, U>,
>;

/// The codec factory and the handshake of an attempt, until its connection is made.
pub(super) struct StartHandshake<Io, U> {
    codecs: CodecFactory<U>,
    handshake: Option<OnConnect<Io, U>>,
}

/// The second step of an attempt.
pub(super) enum FramedHandshake<Io, U> {
    /// No handshake is set. The connection is ready.
    Skipped(Ready<io::Result<Connection<Io, U>>>),
    Running(HandshakeFuture<Io, U>),
}

impl<Io, U> Step<Io> for StartHandshake<Io, U> {
    type Future = FramedHandshake<Io, U>;

    fn start(&mut self, io: Io) -> Self::Future {
        let codec = (self.codecs)();
        match &self.handshake {
            None => FramedHandshake::Skipped(ready(Ok(Connection::new(io, codec)))),
            Some(handshake) => FramedHandshake::Running(handshake(io, codec)),
        }
    }
}

impl<Io, U> Future for FramedHandshake<Io, U> {
    type Output = io::Result<Connection<Io, U>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Skipped(ready) => Pin::new(ready).poll(cx),
            Self::Running(handshake) => handshake.as_mut().poll(cx),
        }
    }
}
