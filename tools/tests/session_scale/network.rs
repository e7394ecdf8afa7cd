//! A network in memory between clients and one server, which can go down.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use reconnecting_stream::{Accepted, ResumableStream, SessionOptions, Sessions};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The network, and the server's sessions. Cloning it gives another reference.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) sessions: Sessions,
    /// Cancelled when the network goes down, which ends all connections. `None` while it is down.
    up: Arc<Mutex<Option<CancellationToken>>>,
    accepted: mpsc::UnboundedSender<ResumableStream>,
    pub(crate) attempts: Arc<AtomicUsize>,
}

pub(crate) type Streams = mpsc::UnboundedReceiver<ResumableStream>;

impl Network {
    pub(crate) fn new(options: SessionOptions) -> (Self, Streams) {
        let (accepted, streams) = mpsc::unbounded_channel();
        let network = Self {
            sessions: Sessions::new(options),
            up: Arc::new(Mutex::new(Some(CancellationToken::new()))),
            accepted,
            attempts: Arc::default(),
        };
        (network, streams)
    }

    /// Ends all connections, and refuses others from now on.
    pub(crate) fn take_down(&self) {
        let up = self.up.lock().unwrap().take();
        up.unwrap().cancel();
    }

    pub(crate) fn bring_up(&self) {
        *self.up.lock().unwrap() = Some(CancellationToken::new());
    }

    /// Returns both ends of a connection.
    pub(crate) fn wires(&self) -> io::Result<(Wire, Wire)> {
        let up = self.up.lock().unwrap().clone();
        let up = up.ok_or(io::ErrorKind::ConnectionRefused)?;
        let (near, far) = duplex(1024);
        Ok((Wire::new(near, up.clone()), Wire::new(far, up)))
    }

    /// Connects to the server: the client's end of a connection.
    pub(crate) async fn connect(self) -> io::Result<Wire> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let (near, far) = self.wires()?;
        let server = self.clone();
        tokio::spawn(async move {
            if let Ok(Accepted::New(stream)) = server.sessions.accept(far).await {
                let _ = server.accepted.send(stream);
            }
        });
        Ok(near)
    }

    /// Begins a session: both its ends.
    pub(crate) async fn begin(&self, streams: &mut Streams) -> (ResumableStream, ResumableStream) {
        let network = self.clone();
        let client = ResumableStream::connect(move || network.clone().connect()).await;
        (client.unwrap(), streams.recv().await.unwrap())
    }
}

/// One end of a connection, which is reset when the network goes down.
pub(crate) struct Wire {
    io: DuplexStream,
    down: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Wire {
    fn new(io: DuplexStream, up: CancellationToken) -> Self {
        let down = Box::pin(up.cancelled_owned());
        Self { io, down }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.down.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
