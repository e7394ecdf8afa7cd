//! The clients: a task for each stream, that reads and never gets anything.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Instant;

use allocation_counter::measure;
use reconnecting_stream::ReconnectingStream;
use stubborn_io::tokio::{StubbornIo, UnderlyingIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};

use crate::STREAMS;
use crate::server::{Server, free_address};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Bare,
    Ours,
    Stubborn,
}

/// What the connectors have counted.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) attempts: Vec<Instant>,
    pub(crate) connections: Vec<Instant>,
}

/// Where the server is, and what was counted.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) address: SocketAddr,
    tally: &'static Mutex<Tally>,
}

impl Dialer {
    /// The tally has room for what is to come, so that it does not count as a stream's.
    pub(crate) fn new(address: SocketAddr) -> Self {
        let tally = Tally {
            attempts: Vec::with_capacity(50 * STREAMS),
            connections: Vec::with_capacity(2 * STREAMS),
        };
        Self {
            address,
            tally: Box::leak(Box::new(Mutex::new(tally))),
        }
    }

    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Tally) -> T) -> T {
        f(&mut self.tally.lock().expect("no panic while it is locked"))
    }

    async fn dial(self) -> io::Result<TcpStream> {
        self.with(|tally| tally.attempts.push(Instant::now()));
        let socket = TcpStream::connect(self.address).await?;
        self.with(|tally| tally.connections.push(Instant::now()));
        Ok(socket)
    }
}

pub(crate) fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

/// Makes every connection, a hundred at a time, and a task that reads from it.
pub(crate) async fn start(kind: Kind, dialer: &Dialer) -> io::Result<()> {
    for _ in 0..STREAMS / 100 {
        let hundred = (0..100).map(|_| start_one(kind, dialer.clone()));
        futures::future::try_join_all(hundred).await?;
    }
    // Until each has been told to wait.
    tokio::task::yield_now().await;
    Ok(())
}

async fn start_one(kind: Kind, dialer: Dialer) -> io::Result<()> {
    match kind {
        Kind::Bare => read_for_ever(dialer.dial().await?),
        Kind::Ours => {
            let dial = move || dialer.clone().dial();
            read_for_ever(ReconnectingStream::connect(dial).await?);
        }
        Kind::Stubborn => read_for_ever(StubbornIo::<Socket, _>::connect(dialer).await?),
    }
    Ok(())
}

fn read_for_ever(mut stream: impl AsyncRead + Unpin + Send + 'static) {
    tokio::spawn(async move { stream.read_u8().await });
}

/// Heap bytes of each stream, with its task.
pub(crate) fn bytes_kept(kind: Kind) -> Result<f64, String> {
    let kept = || -> io::Result<f64> {
        let dialer = Dialer::new(free_address()?);
        let server = Server::start(dialer.address)?;
        let runtime = runtime()?;
        let mut started = Ok(());
        let allocations = measure(|| started = runtime.block_on(start(kind, &dialer)));
        started?;
        drop(runtime);
        server.kill()?;
        Ok(each(allocations.bytes_current))
    };
    kept().map_err(|error| error.to_string())
}

pub(crate) fn each(bytes: i64) -> f64 {
    bytes as f64 / STREAMS as f64
}

/// A socket as `stubborn-io` wants it, made by a dialer that counts.
struct Socket(TcpStream);

impl UnderlyingIo<Dialer> for Socket {
    fn establish(dialer: Dialer) -> Pin<Box<dyn Future<Output = io::Result<Self>> + Send>> {
        Box::pin(async { Ok(Self(dialer.dial().await?)) })
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
