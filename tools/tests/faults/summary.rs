//! Runs cells, and says what they come to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use reconnecting_stream_tools::lab::Failure;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::cell::Report;

/// Nothing waits for it unless it hangs.
const DEADLINE: Duration = Duration::from_secs(180);
/// Cells that run at the same time on each runtime.
const AT_ONCE: usize = 64;

/// The name of a cell, and its run.
pub(crate) type Cell = (String, BoxFuture<'static, Result<Report, Failure>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    CurrentThread,
    MultiThread,
}

const FLAVORS: [Flavor; 2] = [Flavor::CurrentThread, Flavor::MultiThread];

impl Flavor {
    fn runtime(self) -> Runtime {
        let mut builder = match self {
            Self::CurrentThread => Builder::new_current_thread(),
            Self::MultiThread => Builder::new_multi_thread(),
        };
        builder.worker_threads(2).enable_all().build().unwrap()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) cells: usize,
    pub(crate) reports: Report,
    hangs: Vec<String>,
    panics: Vec<String>,
    wrong: Vec<String>,
}

impl Summary {
    /// Runs the cells on both runtimes. Fails if one of them hangs, panics or is wrong.
    pub(crate) fn of_both_runtimes(cells: impl Fn() -> Vec<Cell> + Copy + Send + 'static) -> Self {
        let runs = FLAVORS.map(|flavor| std::thread::spawn(move || Self::of(flavor, cells())));
        let [one, other] = runs.map(|run| run.join().unwrap());
        let summary = one.and(other);
        println!("{summary}");
        let none: [String; 0] = [];
        assert_eq!(summary.hangs, none);
        assert_eq!(summary.panics, none);
        assert_eq!(summary.wrong, none);
        summary
    }

    fn of(flavor: Flavor, cells: Vec<Cell>) -> Self {
        flavor.runtime().block_on(async {
            let permits = Arc::new(Semaphore::new(AT_ONCE));
            let mut running = JoinSet::new();
            for (name, cell) in cells {
                let permits = Arc::clone(&permits);
                running.spawn(async move {
                    let _permit = permits.acquire_owned().await;
                    let name = format!("{name} on {flavor:?}");
                    let ran = tokio::spawn(timeout(DEADLINE, cell)).await;
                    (name, ran)
                });
            }
            let mut summary = Self::default();
            while let Some(ended) = running.join_next().await {
                let (name, ran) = ended.unwrap();
                summary.cells += 1;
                match ran {
                    Err(panic) => summary.panics.push(format!("{name}: {panic}")),
                    Ok(Err(_)) => summary.hangs.push(name),
                    Ok(Ok(Err(failure))) => summary.wrong.push(format!("{name}: {failure}")),
                    Ok(Ok(Ok(report))) => summary.reports.add(report),
                }
            }
            summary
        })
    }

    fn and(mut self, other: Self) -> Self {
        self.cells += other.cells;
        self.reports.add(other.reports);
        self.hangs.extend(other.hangs);
        self.panics.extend(other.panics);
        self.wrong.extend(other.wrong);
        self
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cells, {}, {} hangs, {} panics, {} wrong",
            self.cells,
            self.reports,
            self.hangs.len(),
            self.panics.len(),
            self.wrong.len()
        )
    }
}
