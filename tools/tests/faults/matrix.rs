//! The cells, and what they come to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reconnecting_stream::Seam;
use reconnecting_stream::testing::{Direction, Fault, Plan};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::cell::{Cell, Operation, Report, Split};

/// Nothing waits for it unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);
/// Cells that run at the same time on each runtime.
const AT_ONCE: usize = 64;
const MS: Duration = Duration::from_millis(1);

/// In the middle of a request: after the number of the connection and one of the shortest.
const IN_REQUEST: (u64, Direction) = (28, Direction::ToServer);
const IN_ANSWER: (u64, Direction) = (700, Direction::ToClient);
/// Shortly before it is enough, since a debug build is slow with single bytes.
const LATE: (u64, Direction) = (1100, Direction::ToClient);

const OPERATIONS: [Operation; 5] = [
    Operation::Read,
    Operation::Write,
    Operation::WriteVectored,
    Operation::Flush,
    Operation::Shutdown,
];
const SPLITS: [Split; 2] = [Split::Whole, Split::InTwo];
const SEAMS: [Seam; 3] = [Seam::Hidden, Seam::Error, Seam::Eof];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavor {
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

/// Every fault that there is, where it makes a difference, and all of them together.
fn plans() -> Vec<(&'static str, Plan)> {
    let after = |(bytes, direction), fault| Plan::new().after(bytes, direction, fault);
    vec![
        ("reset in a request", after(IN_REQUEST, Fault::Reset)),
        ("reset in an answer", after(IN_ANSWER, Fault::Reset)),
        ("accept and reset", Fault::Reset.into()),
        ("fin in a request", after(IN_REQUEST, Fault::Fin)),
        ("fin in an answer", after(IN_ANSWER, Fault::Fin)),
        ("accept and fin", Fault::Fin.into()),
        ("stall in a request", after(IN_REQUEST, Fault::Stall)),
        ("stall in an answer", after(IN_ANSWER, Fault::Stall)),
        ("accept and stall", Fault::Stall.into()),
        ("half-open in a request", after(IN_REQUEST, Fault::HalfOpen)),
        ("half-open in an answer", after(IN_ANSWER, Fault::HalfOpen)),
        ("one byte at a time", after(LATE, Fault::OneByteAtATime)),
        ("delay", Fault::Delay(3 * MS).into()),
        ("refuse", after(IN_ANSWER, Fault::Refuse(10 * MS))),
        (
            "all together",
            after(IN_ANSWER, Fault::Reset)
                .after(600, Direction::ToClient, Fault::OneByteAtATime)
                .after(20, Direction::ToServer, Fault::Delay(MS)),
        ),
    ]
}

/// Without the runtime, on which a cell is run.
fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (name, plan) in plans() {
        for operation in OPERATIONS {
            for split in SPLITS {
                for seam in SEAMS {
                    cells.push(Cell {
                        name,
                        plan: plan.clone(),
                        operation,
                        split,
                        seam,
                    });
                }
            }
        }
    }
    cells
}

#[derive(Debug, Default)]
struct Summary {
    cells: usize,
    reports: Report,
    hangs: Vec<String>,
    panics: Vec<String>,
    wrong: Vec<String>,
}

impl Summary {
    fn of(flavor: Flavor) -> Self {
        flavor.runtime().block_on(async {
            let permits = Arc::new(Semaphore::new(AT_ONCE));
            let mut running = JoinSet::new();
            for cell in cells() {
                let permits = Arc::clone(&permits);
                running.spawn(async move {
                    let _permit = permits.acquire_owned().await;
                    let name = format!("{cell:?} on {flavor:?}");
                    let ran = tokio::spawn(timeout(DEADLINE, cell.run())).await;
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

#[test]
fn every_fault_is_survived_in_every_operation_on_both_runtimes_at_every_seam() {
    let runs = FLAVORS.map(|flavor| std::thread::spawn(move || Summary::of(flavor)));
    let [one, other] = runs.map(|run| run.join().unwrap());
    let summary = one.and(other);
    println!("{summary}");
    let none: [String; 0] = [];
    assert_eq!(summary.hangs, none);
    assert_eq!(summary.panics, none);
    assert_eq!(summary.wrong, none);
    assert_eq!(summary.cells, 15 * 5 * 2 * 3 * 2);
    // Two of the faults are none.
    assert!(summary.reports.losses >= 13 * 5 * 2 * 3 * 2);
}
