//! The streams that are compared, over the same connection.

use std::future::{Future, Ready, ready};
use std::io::{self, ErrorKind, IoSlice};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use io_tether::{Action, Connector, Context as Outage, PinFut, Resolver, Tether};
use reconnecting_stream::ReconnectingStream;
use stubborn_io::tokio::{StubbornIo, UnderlyingIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Ours, over a connection that is there already.
pub fn ours<Io>(io: Io) -> ReconnectingStream<fn() -> Ready<io::Result<Io>>> {
    let connector: fn() -> _ = || ready(Err(ErrorKind::ConnectionRefused.into()));
    ReconnectingStream::builder(connector).wrap(io)
}

/// That of `stubborn-io`, over a connection that is there already.
pub async fn stubborn<Io>(io: Io) -> io::Result<StubbornIo<Plain<Io>, Slot<Io>>>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    StubbornIo::connect(Slot(Arc::new(Mutex::new(Some(io))))).await
}

/// What [`stubborn`] does, for connections that are ready immediately.
pub fn stubborn_by<Io>(io: Io) -> StubbornIo<Plain<Io>, Slot<Io>>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    futures::executor::block_on(stubborn(io)).expect("the connection is there")
}

/// Where the one connection is taken from.
pub struct Slot<Io>(Arc<Mutex<Option<Io>>>);

impl<Io> Clone for Slot<Io> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A connection as `stubborn-io` wants it. It does nothing but pass on.
pub struct Plain<Io>(Io);

impl<Io> UnderlyingIo<Slot<Io>> for Plain<Io>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn establish(slot: Slot<Io>) -> Pin<Box<dyn Future<Output = io::Result<Self>> + Send>> {
        let taken = slot.0.lock().expect("no panic while it is locked").take();
        let refused = || ErrorKind::ConnectionRefused.into();
        Box::pin(ready(taken.map(Self).ok_or_else(refused)))
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Plain<Io> {
    #[inline(always)]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Plain<Io> {
    #[inline(always)]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    #[inline(always)]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    #[inline(always)]
    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    #[inline(always)]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    #[inline(always)]
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// That of `io-tether`, over a connection that is there already.
pub fn tether<Io>(io: Io) -> Tether<Refuses<Io>, Retries>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Tether::new(Refuses(PhantomData), io, Retries)
}

/// A connector of `io-tether` whose attempts fail.
pub struct Refuses<Io>(PhantomData<fn() -> Io>);

impl<Io: Send + 'static> Connector for Refuses<Io> {
    type Output = Io;

    fn connect(&mut self) -> PinFut<io::Result<Io>> {
        Box::pin(ready(Err(ErrorKind::ConnectionRefused.into())))
    }
}

/// Reconnects after every loss. `io-tether` has no policy of its own.
pub struct Retries;

impl<C> Resolver<C> for Retries {
    fn disconnected(&mut self, _outage: &Outage, _connector: &mut C) -> PinFut<Action> {
        Box::pin(ready(Action::AttemptReconnect))
    }
}
