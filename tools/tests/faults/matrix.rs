//! The cells of streams.

use std::time::Duration;

use futures::FutureExt;

use reconnecting_stream::Seam;
use reconnecting_stream::testing::{Direction, Fault, Plan};

use super::cell::{Cell, Operation, Split};
use super::summary::Summary;

const MS: Duration = Duration::from_millis(1);

/// In the middle of a request: after the number of the connection and one of the shortest.
const IN_REQUEST: (u64, Direction) = (28, Direction::ToServer);
const IN_ANSWER: (u64, Direction) = (700, Direction::ToClient);
/// Shortly before it is enough, since a debug build is slow with single bytes.
const LATE: (u64, Direction) = (1100, Direction::ToClient);

const SPLITS: [Split; 2] = [Split::Whole, Split::InTwo];
const SEAMS: [Seam; 3] = [Seam::Hidden, Seam::Error, Seam::Eof];

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
        for operation in Operation::ALL {
            for split in SPLITS {
                for seam in SEAMS {
                    cells.push(Cell {
                        name,
                        plan: plan.clone(),
                        operation,
                        split,
                        seam,
                        longer: 1,
                    });
                }
            }
        }
    }
    cells
}

#[test]
fn every_fault_is_survived_in_every_operation_on_both_runtimes_at_every_seam() {
    let run = |cell: Cell| (format!("{cell:?}"), cell.run().boxed());
    let summary = Summary::of_both_runtimes(move || cells().into_iter().map(run).collect());
    assert_eq!(summary.cells, 15 * 5 * 2 * 3 * 2);
    // Two of the faults are none.
    assert!(summary.reports.losses >= 13 * 5 * 2 * 3 * 2);
}
