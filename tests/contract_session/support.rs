//! A server without sockets: its connections are pairs of pipes that can be cut anywhere.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use reconnecting_stream::{
    Accepted, Backoff, Policy, ResumableBuilder, ResumableStream, SessionLost, SessionLostReason,
    SessionOptions, Sessions,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A pipe that fails after some bytes in each direction.
pub struct Pipe {
    io: DuplexStream,
    to_read: usize,
    to_write: usize,
}

impl Pipe {
    pub fn new(io: DuplexStream, (to_read, to_write): (usize, usize)) -> Self {
        Self {
            io,
            to_read,
            to_write,
        }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.to_read == 0 {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let mut part = buf.take(self.to_read);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut part))?;
        let n = part.filled().len();
        self.to_read -= n;
        // A session's buffers are initialized, so this overwrites nothing.
        buf.initialize_unfilled_to(n);
        buf.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.to_write == 0 {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let part = buf.len().min(self.to_write);
        let n = ready!(Pin::new(&mut self.io).poll_write(cx, &buf[..part]))?;
        self.to_write -= n;
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// After how many bytes the next connection fails, read and written by the client.
pub type Cuts = Arc<Mutex<dyn FnMut() -> (usize, usize) + Send>>;

/// A server, and the network in front of it.
#[derive(Clone)]
pub struct Network {
    /// The server that accepts the next connection.
    pub sessions: Arc<Mutex<Sessions>>,
    pub is_down: Arc<AtomicBool>,
    pub dials: Arc<AtomicUsize>,
    pub size: usize,
    cuts: Cuts,
    sender: mpsc::UnboundedSender<ResumableStream>,
}

pub type Streams = mpsc::UnboundedReceiver<ResumableStream>;

impl Network {
    pub fn new(options: SessionOptions) -> (Self, Streams) {
        Self::with_cuts(options, || (usize::MAX, usize::MAX))
    }

    pub fn with_cuts(
        options: SessionOptions,
        cuts: impl FnMut() -> (usize, usize) + Send + 'static,
    ) -> (Self, Streams) {
        let (sender, streams) = mpsc::unbounded_channel();
        let network = Self {
            sessions: Arc::new(Mutex::new(Sessions::new(options))),
            is_down: Arc::default(),
            dials: Arc::default(),
            size: 4096,
            cuts: Arc::new(Mutex::new(cuts)),
            sender,
        };
        (network, streams)
    }

    pub fn sessions(&self) -> Sessions {
        self.sessions.lock().unwrap().clone()
    }

    pub fn go_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    pub fn dials(&self) -> usize {
        self.dials.load(Ordering::SeqCst)
    }

    /// Returns the client's end of a connection that the server accepts.
    pub fn dial(&self) -> io::Result<Pipe> {
        self.dials.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let (client, server) = duplex(self.size);
        let (sessions, sender) = (self.sessions(), self.sender.clone());
        tokio::spawn(async move {
            if let Ok(Accepted::New(stream)) = sessions.accept(server).await {
                let _ = sender.send(stream);
            }
        });
        let cuts = (self.cuts.lock().unwrap())();
        Ok(Pipe::new(client, cuts))
    }

    pub fn builder(
        &self,
    ) -> ResumableBuilder<
        impl FnMut() -> std::future::Ready<io::Result<Pipe>> + Send + 'static + use<>,
    > {
        let network = self.clone();
        let backoff = Backoff::constant(Duration::from_millis(10));
        ResumableStream::builder(move || std::future::ready(network.dial()))
            .policy(Policy::default().backoff(backoff).max_attempts(None))
            .options(small())
    }
}

/// Small buffers, so that everything fills up and wraps.
pub const fn small() -> SessionOptions {
    SessionOptions::new()
        .send_buffer(16 * 1024)
        .receive_window(16 * 1024)
        .frame_payload(1500)
        .max_resumes_per_second(u32::MAX)
}

/// Returns both ends of a session.
pub async fn pair() -> (ResumableStream, ResumableStream, Network) {
    let (network, mut streams) = Network::new(small());
    let client = network.builder().connect().await.unwrap();
    let server = streams.recv().await.unwrap();
    (client, server, network)
}

/// Cuts the connection, and lets no other one through.
pub async fn cut(client: &ResumableStream, network: &Network) {
    network.go_down(true);
    client.handle().reconnect();
    settle().await;
}

/// Returns a runtime of its own, with paused time.
pub fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

/// Lets all tasks run until they wait.
pub async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// The reason of a session that is lost.
pub fn reason(error: &io::Error) -> Option<SessionLostReason> {
    Some(SessionLost::find(error)?.reason)
}

/// Long enough for a busy machine. No test takes that long unless it hangs.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(3600), future)
        .await
        .expect("it hangs")
}

pub fn byte(seed: u64, offset: usize) -> u8 {
    let mixed = (offset as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u8::try_from(mixed >> 56).unwrap()
}

/// Accepts a connection in a task. Returns the client's end of it.
pub fn accepting(sessions: &Sessions) -> (DuplexStream, JoinHandle<io::Result<Accepted>>) {
    let (client, server) = duplex(4096);
    let sessions = sessions.clone();
    let accept = tokio::spawn(async move { sessions.accept(server).await });
    (client, accept)
}

/// Returns both ends of a session, each of which has sent the word "first" to the other one.
pub async fn pair_that_has_begun() -> (ResumableStream, ResumableStream, Network) {
    let (mut client, mut server, network) = pair().await;
    for stream in [&mut client, &mut server] {
        stream.write_all(b"first").await.unwrap();
        stream.acknowledged().await.unwrap();
    }
    (client, server, network)
}
