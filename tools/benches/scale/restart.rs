//! A server that is killed under its clients, and started again.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use allocation_counter::measure;

use crate::STREAMS;
use crate::clients::{Dialer, Kind, Tally, each, runtime, start};
use crate::server::{Server, free_address};

/// How long the streams have to come back.
const DEADLINE: Duration = Duration::from_secs(20);

/// What came of it.
pub(crate) struct Restart {
    pub(crate) kind: Kind,
    /// Between the end of the old server and the start of the new one.
    pub(crate) pause: Duration,
    /// When the new server was ready.
    up: Instant,
    killed: Instant,
    /// When each connection was there, in order.
    pub(crate) back: Vec<Instant>,
    attempts: usize,
    processor: Duration,
    /// Heap bytes a stream, when all is over.
    pub(crate) bytes_kept: f64,
}

impl Restart {
    pub(crate) fn run(kind: Kind, pause: Duration) -> Result<Self, String> {
        let run = || -> io::Result<Self> {
            let dialer = Dialer::new(free_address()?);
            let runtime = runtime()?;
            let mut outcome = None;
            let allocations = measure(|| {
                outcome = Some(runtime.block_on(restart(kind, pause, &dialer)));
            });
            let mut outcome = outcome.unwrap_or_else(|| Err(io::ErrorKind::Other.into()))?;
            outcome.bytes_kept = each(allocations.bytes_current);
            Ok(outcome)
        };
        run().map_err(|error| error.to_string())
    }

    pub(crate) fn attempts_each(&self) -> f64 {
        self.attempts as f64 / STREAMS as f64
    }

    pub(crate) fn row(&self) -> [String; 8] {
        let name = match self.kind {
            Kind::Bare => "bare",
            Kind::Ours => "this crate",
            Kind::Stubborn => "`stubborn-io`",
        };
        let after = |share: usize| {
            let number = STREAMS * share / 100 - 1;
            let back = self.back.get(number);
            back.map_or("never".to_owned(), |back| {
                format!(
                    "{:.2} s",
                    back.saturating_duration_since(self.up).as_secs_f64()
                )
            })
        };
        [
            format!("{name}, down for {:.1} s", self.downtime()),
            self.back.len().to_string(),
            after(99),
            after(100),
            self.most_within(Duration::from_secs(1)).to_string(),
            self.most_within(Duration::from_millis(100)).to_string(),
            format!("{:.2}", self.attempts_each()),
            format!("{:.2} s", self.processor.as_secs_f64()),
        ]
    }

    /// The most connections in any such time.
    fn most_within(&self, time: Duration) -> usize {
        let mut first = 0;
        let mut most = 0;
        for (number, back) in self.back.iter().enumerate() {
            while *back - self.back[first] >= time {
                first += 1;
            }
            most = most.max(number + 1 - first);
        }
        most
    }

    /// Seconds between the servers.
    pub(crate) fn downtime(&self) -> f64 {
        (self.up - self.killed).as_secs_f64()
    }

    /// Seconds since the old server's end, and how many were back.
    pub(crate) fn curve(&self) -> Vec<(f64, f64)> {
        let numbered = self.back.iter().zip(1_u32..);
        let points = numbered.filter(|(_, number)| number % 50 == 0);
        let seconds = |back: &Instant| (*back - self.killed).as_secs_f64();
        [(0.0, 0.0)]
            .into_iter()
            .chain(points.map(|(back, number)| (seconds(back), f64::from(number))))
            .collect()
    }
}

async fn restart(kind: Kind, pause: Duration, dialer: &Dialer) -> io::Result<Restart> {
    let server = Server::start(dialer.address)?;
    start(kind, dialer).await?;
    dialer.with(|tally| {
        tally.attempts.clear();
        tally.connections.clear();
    });
    let before = processor_time();
    let killed = Instant::now();
    let address = dialer.address;
    // On another thread: the clients shall notice.
    let served = tokio::task::spawn_blocking(move || {
        server.kill()?;
        std::thread::sleep(pause);
        let starting = Instant::now();
        let server = Server::start(address)?;
        io::Result::Ok((server, starting, Instant::now()))
    });
    let (server, starting, up) = served.await.map_err(io::Error::other)??;
    // A dying server may still have taken some.
    let are_back = |tally: &mut Tally| {
        let before = tally.connections.partition_point(|at| *at < starting);
        tally.connections.len() - before >= STREAMS
    };
    while up.elapsed() < DEADLINE && !dialer.with(are_back) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let processor = processor_time().saturating_sub(before);
    let restart = dialer.with(|tally| Restart {
        kind,
        pause,
        up,
        killed,
        back: {
            tally.connections.retain(|at| *at >= starting);
            std::mem::take(&mut tally.connections)
        },
        attempts: tally.attempts.len(),
        processor,
        bytes_kept: 0.0,
    });
    // No stream is polled after this: the streams are measured as they are now.
    server.kill()?;
    Ok(restart)
}

/// Of the main thread, which runs all clients.
fn processor_time() -> Duration {
    let times = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = times
        .split_whitespace()
        .next()
        .and_then(|time| time.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}
