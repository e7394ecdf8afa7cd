//! What the soak prints.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use reconnecting_stream::testing::Stats;
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::worker::{Counts, Worker};
use reconnecting_stream_tools::lab::Failure;

/// More than a worker ever needs: its proxy keeps a silent connection for some seconds.
const MOST: usize = 500;

/// What a process can leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resources {
    tasks: usize,
    /// 0 if they can't be counted.
    files: usize,
}

impl Resources {
    pub(crate) fn now() -> Self {
        Self {
            tasks: Handle::current().metrics().num_alive_tasks(),
            files: std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
        }
    }

    pub(crate) fn check(self, workers: usize) -> Result<(), Failure> {
        match self.tasks.max(self.files) > MOST * workers {
            true => Err(format!("a leak: {self:?}")),
            false => Ok(()),
        }
    }

    /// Waits until no more is left than before.
    pub(crate) async fn check_left(self, limit: Duration) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            let now = Self::now();
            if now.tasks <= self.tasks && now.files <= self.files {
                return Ok(());
            }
            if begun.elapsed() > limit {
                return Err(format!("a leak: {now:?}, before it was {self:?}"));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

struct Sum<'a>(&'a [Worker]);

impl Sum<'_> {
    fn of(&self, count: fn(&Counts) -> &AtomicU64) -> u64 {
        let counts = self.0.iter().map(|worker| &worker.setup.counts);
        counts.map(|counts| count(counts).load(SeqCst)).sum()
    }

    fn stats(&self, count: fn(&Stats) -> u64) -> u64 {
        let stats = self.0.iter().map(|worker| worker.setup.proxy.stats());
        stats.map(|stats| count(&stats)).sum()
    }

    fn losses(&self) -> u64 {
        let events = self.0.iter().map(|worker| &worker.setup.events);
        events.map(|events| events.losses.load(SeqCst)).sum()
    }
}

pub(crate) fn line(elapsed: Duration, workers: &[Worker]) -> String {
    let sum = Sum(workers);
    let Resources { tasks, files } = Resources::now();
    format!(
        "{:6.0} s  {} connections, {} losses, {} faults, {:.1} MB, {} messages, {} sessions, {tasks} tasks, {files} files",
        elapsed.as_secs_f64(),
        sum.stats(|stats| stats.accepted),
        sum.losses(),
        sum.stats(Stats::faults),
        megabytes(sum.stats(|stats| stats.to_server + stats.to_client)),
        sum.of(|counts| &counts.received),
        sum.of(|counts| &counts.sessions),
    )
}

#[allow(clippy::cast_precision_loss, reason = "it is for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

pub(crate) fn table(elapsed: Duration, workers: &[Worker]) -> String {
    let sum = Sum(workers);
    let rows = [
        ("connections", sum.stats(|stats| stats.accepted)),
        ("losses", sum.losses()),
        ("resets", sum.stats(|stats| stats.resets)),
        ("closed in order", sum.stats(|stats| stats.fins)),
        ("stalls", sum.stats(|stats| stats.stalls)),
        ("half-open", sum.stats(|stats| stats.half_opens)),
        ("refusals", sum.stats(|stats| stats.refusals)),
        (
            "one byte at a time",
            sum.stats(|stats| stats.one_byte_at_a_time),
        ),
        ("delays", sum.stats(|stats| stats.delays)),
        ("bytes to servers", sum.stats(|stats| stats.to_server)),
        ("bytes to clients", sum.stats(|stats| stats.to_client)),
        ("bytes checked", sum.of(|counts| &counts.bytes)),
        (
            "writes ended by command",
            sum.of(|counts| &counts.forced_reconnects),
        ),
        ("sessions", sum.of(|counts| &counts.sessions)),
        ("messages sent", sum.of(|counts| &counts.sent)),
        ("messages received", sum.of(|counts| &counts.received)),
        ("messages missing", sum.of(|counts| &counts.missing)),
        ("messages twice", sum.of(|counts| &counts.twice)),
    ];
    let mut table = format!("nothing was wrong in {:.0} s\n\n", elapsed.as_secs_f64());
    for (what, count) in rows {
        // Writing to a string does not fail.
        let _ = writeln!(table, "{count:14}  {what}");
    }
    for worker in workers {
        let stats = worker.setup.proxy.stats();
        let counts = &worker.setup.counts;
        let _ = writeln!(
            table,
            "{:40} {:8} connections, {:8} kB, {:8} sent, {:8} received, {:6} missing, {:6} twice, {:6} sessions",
            worker.name,
            stats.accepted,
            (stats.to_server + stats.to_client) / 1000,
            counts.sent.load(SeqCst),
            counts.received.load(SeqCst),
            counts.missing.load(SeqCst),
            counts.twice.load(SeqCst),
            counts.sessions.load(SeqCst),
        );
    }
    table
}
