//! Calls of many tasks, while faults are injected, and how they ended.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use reconnecting_stream::testing::{Fault, FaultProxy};
use tokio::time::{sleep, timeout};

/// The tasks that call at the same time.
pub const TASKS: usize = 8;

/// A call that takes longer hangs. A busy machine needs seconds to restart a server.
const DEADLINE: Duration = Duration::from_secs(20);

/// So long that a client without a policy fails.
const OUTAGE: Duration = Duration::from_millis(300);

/// How calls have ended.
#[derive(Debug, Default)]
pub struct Tally {
    right: AtomicU64,
    wrong: AtomicU64,
    failed: AtomicU64,
    hung: AtomicU64,
    repeated: AtomicU64,
    late: AtomicU64,
}

impl Tally {
    /// Counts a call that is sent again.
    pub fn repeat(&self) {
        add(&self.repeated);
    }

    /// Counts a call that is sent again, because its client has taken too long.
    pub fn repeat_late(&self) {
        self.repeat();
        add(&self.late);
    }

    pub fn right(&self) -> u64 {
        get(&self.right)
    }

    pub fn wrong(&self) -> u64 {
        get(&self.wrong)
    }

    pub fn failed(&self) -> u64 {
        get(&self.failed)
    }

    pub fn hung(&self) -> u64 {
        get(&self.hung)
    }

    pub fn repeated(&self) -> u64 {
        get(&self.repeated)
    }

    pub fn late(&self) -> u64 {
        get(&self.late)
    }

    fn ended(&self) -> u64 {
        self.right() + self.wrong() + self.failed() + self.hung()
    }

    /// Asserts that every call got the reply to it.
    pub fn assert_all_right(&self, calls: u64) {
        assert_eq!(self.right(), calls, "{self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (right, wrong, failed) = (self.right(), self.wrong(), self.failed());
        let (hung, repeated) = (self.hung(), self.repeated());
        write!(
            f,
            "{right} right, {wrong} wrong, {failed} failed, {hung} hung, {repeated} repeated"
        )
    }
}

/// Makes `calls` calls from [`TASKS`] tasks, and `faults` faults meanwhile: one whenever as many
/// calls have ended as lie between two faults. A call returns whether its reply was right.
pub async fn under_faults<Call, Ended>(
    calls: u64,
    faults: u64,
    mut fault: impl AsyncFnMut(u64),
    call: Call,
) -> Arc<Tally>
where
    Call: Fn(u64, Arc<Tally>) -> Ended + Clone + Send + 'static,
    Ended: Future<Output = io::Result<bool>> + Send,
{
    let tally = Arc::new(Tally::default());
    let tasks = (0..).take(TASKS).map(|task| {
        let (call, tally) = (call.clone(), Arc::clone(&tally));
        tokio::spawn(async move {
            for number in (task..calls).step_by(TASKS) {
                let ended = timeout(DEADLINE, call(number, Arc::clone(&tally))).await;
                add(match ended {
                    Ok(Ok(true)) => &tally.right,
                    Ok(Ok(false)) => &tally.wrong,
                    Ok(Err(_)) => &tally.failed,
                    Err(_) => &tally.hung,
                });
            }
        })
    });
    let tasks = tasks.collect::<Vec<_>>();
    for number in 1..=faults {
        while tally.ended() < number * calls / (faults + 1) {
            sleep(Duration::from_millis(1)).await;
        }
        fault(number).await;
    }
    for task in join_all(tasks).await {
        task.expect("a call panicked");
    }
    tally
}

/// Resets all connections, and refuses new ones for a while, as a server that is restarted.
pub async fn outage(proxy: &FaultProxy) {
    proxy.refuse().await;
    proxy.inject(Fault::Reset).await;
    sleep(OUTAGE).await;
    proxy.accept().await;
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

fn get(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}
