//! A client, its proxy, and what they have come to.

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

use reconnecting_stream_tools::lab::Wrong;
use reconnecting_stream_tools::lab::client::Fate;

/// No connection outlives so many bytes.
const LONGEST: u64 = 64 * 1024;

/// What a worker has moved and checked.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Bytes that the client has got.
    pub(crate) bytes: AtomicU64,
    /// Reconnects on command, since a write had waited too long.
    pub(crate) nudges: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
    /// Above all that have come back.
    pub(crate) back: AtomicU64,
    pub(crate) twice: AtomicU64,
    /// Of those that were sent when the work was done.
    pub(crate) missing: AtomicU64,
}

impl Counts {
    /// It changes as long as the worker moves.
    fn progress(&self) -> u64 {
        self.bytes.load(SeqCst) + self.received.load(SeqCst)
    }
}

/// What the task of a worker works with.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) proxy: Arc<FaultProxy>,
    pub(crate) fate: Arc<Fate>,
    pub(crate) counts: Arc<Counts>,
    stop: watch::Receiver<bool>,
}

impl Site {
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
            fate: Arc::default(),
            counts: Arc::default(),
            stop,
        })
    }

    /// Waits until the soak is over, and ends the faults: a last one, and no other.
    pub(crate) async fn calm(&self) {
        // An error is an end, too.
        let _ = self.stop.clone().wait_for(|is_over| *is_over).await;
        self.proxy.default_plan(|_| Plan::new());
        self.proxy.accept().await;
        self.proxy.inject(Fault::Reset).await;
    }
}

/// Patient, and not idle for long.
pub(crate) fn policy() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(Duration::from_millis(2)))
        .max_attempts(None)
        .idle_timeout(Duration::from_millis(500))
}

/// Far from those of the other workers.
pub(crate) fn seed(seed: u64, worker: usize) -> u64 {
    seed.wrapping_mul(1_000_003).wrapping_add(worker as u64)
}

pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) site: Site,
    /// `None` after its end.
    task: Option<JoinHandle<Result<(), Wrong>>>,
    progress: u64,
    moved: Instant,
}

impl Worker {
    pub(crate) fn start(
        name: String,
        site: Site,
        work: impl Future<Output = Result<(), Wrong>> + Send + 'static,
    ) -> Self {
        Self {
            name,
            site,
            task: Some(tokio::spawn(work)),
            progress: 0,
            moved: Instant::now(),
        }
    }

    /// Whether it moves.
    pub(crate) async fn look(&mut self, patience: Duration) -> Result<(), Wrong> {
        if self.task.as_ref().is_some_and(JoinHandle::is_finished) {
            self.end(patience).await?;
            return Err(format!("{}: ended too early", self.name));
        }
        let progress = self.site.counts.progress();
        if progress != self.progress {
            (self.progress, self.moved) = (progress, Instant::now());
        }
        match self.moved.elapsed() > patience {
            true => Err(format!("{}: hangs, {:?}", self.name, self.site.proxy)),
            false => Ok(()),
        }
    }

    /// Waits until its work is done.
    pub(crate) async fn end(&mut self, patience: Duration) -> Result<(), Wrong> {
        let Some(task) = self.task.take() else {
            return Ok(());
        };
        let ended = match timeout(patience, task).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(panic)) => Err(panic.to_string()),
            Err(_) => Err(format!("does not finish, {:?}", self.site.proxy)),
        };
        ended.map_err(|wrong| format!("{}: {wrong}", self.name))
    }
}
