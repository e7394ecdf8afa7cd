//! A server in memory, and connections to it that a test cuts.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reconnecting_stream::{
    Accepted, Backoff, Policy, ResumableStream, SessionLost, SessionLostReason, SessionOptions,
    Sessions,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A server whose sessions arrive in a channel. Each connection is relayed in memory, so that a test
/// can cut it.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) sessions: Arc<Mutex<Sessions>>,
    sender: mpsc::UnboundedSender<ResumableStream>,
    relays: Arc<Mutex<Vec<JoinHandle<()>>>>,
    refuses: Arc<AtomicBool>,
    /// Relays do not tell one end that the other one is gone.
    is_silent: Arc<AtomicBool>,
    /// A relay cuts its connection after so many bytes from the client.
    pub(crate) cut_after: Arc<Mutex<Option<NextCut>>>,
}

/// After how many bytes the next connection is cut.
pub(crate) type NextCut = Box<dyn FnMut() -> usize + Send>;

pub(crate) type Streams = mpsc::UnboundedReceiver<ResumableStream>;

impl Server {
    pub(crate) fn new(options: SessionOptions) -> (Self, Streams) {
        let (sender, streams) = mpsc::unbounded_channel();
        let server = Self {
            sessions: Arc::new(Mutex::new(Sessions::new(options))),
            sender,
            relays: Arc::default(),
            refuses: Arc::default(),
            is_silent: Arc::default(),
            cut_after: Arc::default(),
        };
        (server, streams)
    }

    /// Connects: the client's end of a connection.
    pub(crate) fn connect(&self) -> impl Future<Output = io::Result<DuplexStream>> + Send + use<> {
        let server = self.clone();
        async move {
            if server.refuses.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (client, near) = duplex(4096);
            let (far, accepted) = duplex(4096);
            let most = server.cut_after.lock().unwrap().as_mut().map(|next| next());
            let is_silent = Arc::clone(&server.is_silent);
            let relay = relay(near, far, most.unwrap_or(usize::MAX), is_silent);
            let relay = tokio::spawn(relay);
            server.relays.lock().unwrap().push(relay);
            let sessions = server.sessions.lock().unwrap().clone();
            tokio::spawn(async move {
                if let Ok(Accepted::New(stream)) = sessions.accept(accepted).await {
                    let _ = server.sender.send(stream);
                }
            });
            Ok(client)
        }
    }

    /// Cuts all connections.
    pub(crate) fn cut(&self) {
        let relays = std::mem::take(&mut *self.relays.lock().unwrap());
        relays.into_iter().for_each(|relay| relay.abort());
    }

    /// Refuses connections, or accepts them again.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }

    /// From now on an end whose peer is gone does not learn it.
    pub(crate) fn silence(&self) {
        self.is_silent.store(true, Ordering::SeqCst);
    }

    /// Waits until no session is left.
    pub(crate) async fn drained(&self) {
        while !self.sessions.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Begins a session: both its ends.
    pub(crate) async fn begin(&self, streams: &mut Streams) -> (ResumableStream, ResumableStream) {
        let server = self.clone();
        let client = ResumableStream::builder(move || server.connect())
            .policy(quick())
            .connect()
            .await
            .unwrap();
        (client, streams.recv().await.unwrap())
    }
}

/// Dials again after 1 ms, for ever.
pub(crate) fn quick() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(Duration::from_millis(1)))
        .max_attempts(None)
}

/// Options of a server that lets its sessions be resumed as often as a test cuts them.
pub(crate) fn options() -> SessionOptions {
    SessionOptions::new().max_resumes_per_second(1_000_000)
}

/// Relays both directions until one ends, or the client has sent so many bytes.
async fn relay(near: DuplexStream, far: DuplexStream, most: usize, is_silent: Arc<AtomicBool>) {
    let ((from_client, to_client), (from_server, to_server)) = (split(near), split(far));
    let up = tokio::spawn(pump(from_client, to_server, most));
    let down = tokio::spawn(pump(from_server, to_client, usize::MAX));
    let guard = Guard([up.abort_handle(), down.abort_handle()]);
    let _ = futures::future::select(up, down).await;
    if is_silent.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    drop(guard);
}

/// Ends what a relay runs when the relay is aborted.
struct Guard([tokio::task::AbortHandle; 2]);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

async fn pump(mut from: ReadHalf<DuplexStream>, mut to: WriteHalf<DuplexStream>, mut most: usize) {
    let mut buffer = [0; 1024];
    while most > 0 {
        let n = buffer.len().min(most);
        match from.read(&mut buffer[..n]).await {
            Ok(n) if n > 0 => {
                most -= n;
                if to.write_all(&buffer[..n]).await.is_err() {
                    return;
                }
            }
            Ok(_) | Err(_) => return,
        }
    }
}

/// The reason for which a session is lost.
pub(crate) fn reason(error: &io::Error) -> SessionLostReason {
    let lost = SessionLost::find(error);
    lost.unwrap_or_else(|| panic!("no loss: {error}")).reason
}

/// Bytes that tell their offset.
pub(crate) fn pattern(range: std::ops::Range<usize>) -> Vec<u8> {
    let byte = |offset: usize| offset.wrapping_mul(31) ^ (offset >> 8);
    range.map(|offset| byte(offset).to_le_bytes()[0]).collect()
}
