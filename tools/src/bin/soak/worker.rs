//! A client, its proxy, and their counts.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use reconnecting_stream::testing::{Direction, Fault, FaultProxy, Plan};
use reconnecting_stream::{Backoff, Policy};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use reconnecting_stream_tools::lab::Failure;
use reconnecting_stream_tools::lab::client::EventCounts;

/// No connection outlives so many bytes.
const LONGEST: u64 = 64 * 1024;

/// What a worker has moved and checked.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Bytes that the client has got.
    pub(crate) bytes: AtomicU64,
    /// Reconnects on command, because a write had waited too long.
    pub(crate) forced_reconnects: AtomicU64,
    /// Sessions that were begun and ended.
    pub(crate) sessions: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
    /// Above all that have come back.
    pub(crate) back: AtomicU64,
    pub(crate) twice: AtomicU64,
    /// Of those that were sent when the work was done.
    pub(crate) missing: AtomicU64,
}

impl Counts {
    /// Returns a number that changes as long as the worker makes progress.
    fn progress(&self) -> u64 {
        self.bytes.load(SeqCst) + self.received.load(SeqCst) + self.sessions.load(SeqCst)
    }
}

/// What the task of a worker works with.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) proxy: Arc<FaultProxy>,
    pub(crate) events: Arc<EventCounts>,
    pub(crate) counts: Arc<Counts>,
    stop: watch::Receiver<bool>,
}

impl Setup {
    pub(crate) async fn new(
        server: SocketAddr,
        seed: u64,
        stop: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        let proxy = FaultProxy::start(server).await?;
        proxy.default_plan(move |connection| {
            Plan::from_seed(seed, connection).after(LONGEST, Direction::ToClient, Fault::Reset)
        });
        Ok(Self {
            proxy: Arc::new(proxy),
            events: Arc::default(),
            counts: Arc::default(),
            stop,
        })
    }

    /// Waits until the soak is over, and ends the faults with a last one.
    pub(crate) async fn end_faults(&self) {
        // An error is an end, too.
        let _ = self.stop.clone().wait_for(|is_over| *is_over).await;
        self.proxy.default_plan(|_| Plan::new());
        self.proxy.accept().await;
        self.proxy.inject(Fault::Reset).await;
    }
}

/// Returns a policy that never gives up and has a short idle timeout.
pub(crate) fn policy() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(Duration::from_millis(2)))
        .max_attempts(None)
        .idle_timeout(Duration::from_millis(500))
}

/// Returns the seed of a worker, far from those of the others.
pub(crate) fn seed(seed: u64, worker: usize) -> u64 {
    seed.wrapping_mul(1_000_003).wrapping_add(worker as u64)
}

pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) setup: Setup,
    /// `None` after its end.
    task: Option<JoinHandle<Result<(), Failure>>>,
    progress: u64,
    moved: Instant,
}

impl Worker {
    pub(crate) fn start(
        name: String,
        setup: Setup,
        work: impl Future<Output = Result<(), Failure>> + Send + 'static,
    ) -> Self {
        Self {
            name,
            setup,
            task: Some(tokio::spawn(work)),
            progress: 0,
            moved: Instant::now(),
        }
    }

    /// Fails if the worker has ended or makes no progress.
    pub(crate) async fn check(&mut self, limit: Duration) -> Result<(), Failure> {
        if self.task.as_ref().is_some_and(JoinHandle::is_finished) {
            self.end(limit).await?;
            return Err(format!("{}: ended too early", self.name));
        }
        let progress = self.setup.counts.progress();
        if progress != self.progress {
            (self.progress, self.moved) = (progress, Instant::now());
        }
        match self.moved.elapsed() > limit {
            true => Err(format!("{}: hangs, {:?}", self.name, self.setup.proxy)),
            false => Ok(()),
        }
    }

    /// Waits until its work is done.
    pub(crate) async fn end(&mut self, limit: Duration) -> Result<(), Failure> {
        let Some(task) = self.task.take() else {
            return Ok(());
        };
        let ended = match timeout(limit, task).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(panic)) => Err(panic.to_string()),
            Err(_) => Err(format!("does not finish, {:?}", self.setup.proxy)),
        };
        ended.map_err(|wrong| format!("{}: {wrong}", self.name))
    }
}
