//! The cells of sessions.

use std::time::Duration;

use futures::FutureExt;
use reconnecting_stream::testing::{Direction, Fault, Plan};
use tokio::time::timeout;

use super::cell::Operation;
use super::session::{Cell, Halves, control};
use super::summary::Summary;

const MS: Duration = Duration::from_millis(1);

const HALVES: [Halves; 3] = [Halves::Whole, Halves::Owned, Halves::Shared];

/// Where a fault falls into, in the direction that an operation is about.
#[derive(Clone, Copy)]
enum Place {
    Accept,
    /// The hello of the client. A truncated one, if the connection ends.
    Hello,
    /// The answer of the server.
    Welcome,
    /// The first frame of data. A truncated one, if the connection ends.
    Frame,
    /// Late enough that single bytes take no time.
    Late,
}

impl Place {
    fn plan(self, operation: Operation, fault: Fault) -> Plan {
        let most = match operation {
            Operation::Read | Operation::Shutdown => Direction::ToClient,
            Operation::Write | Operation::WriteVectored | Operation::Flush => Direction::ToServer,
        };
        match self {
            Self::Accept => fault.into(),
            Self::Hello => Plan::new().after(28, Direction::ToServer, fault),
            Self::Welcome => Plan::new().after(10, Direction::ToClient, fault),
            Self::Frame => Plan::new().after(700, most, fault),
            Self::Late => Plan::new().after(22_000, most, fault),
        }
    }
}

/// Every fault that there is, where it makes a difference, and all of them together.
fn plans(operation: Operation) -> Vec<(&'static str, Plan)> {
    let at = |name, place: Place, fault| (name, place.plan(operation, fault));
    let all = Place::Frame.plan(operation, Fault::Reset);
    vec![
        at("accept and reset", Place::Accept, Fault::Reset),
        at("reset in the hello", Place::Hello, Fault::Reset),
        at("reset in the welcome", Place::Welcome, Fault::Reset),
        at("reset in a frame", Place::Frame, Fault::Reset),
        at("late reset", Place::Late, Fault::Reset),
        at("accept and fin", Place::Accept, Fault::Fin),
        at("fin in the hello", Place::Hello, Fault::Fin),
        at("fin in the welcome", Place::Welcome, Fault::Fin),
        at("fin in a frame", Place::Frame, Fault::Fin),
        at("accept and stall", Place::Accept, Fault::Stall),
        at("stall in the hello", Place::Hello, Fault::Stall),
        at("stall in the welcome", Place::Welcome, Fault::Stall),
        at("stall in a frame", Place::Frame, Fault::Stall),
        at("half-open in the hello", Place::Hello, Fault::HalfOpen),
        at("half-open in the welcome", Place::Welcome, Fault::HalfOpen),
        at("half-open in a frame", Place::Frame, Fault::HalfOpen),
        at(
            "late, one byte at a time",
            Place::Late,
            Fault::OneByteAtATime,
        ),
        at("delay", Place::Accept, Fault::Delay(3 * MS)),
        at("refuse", Place::Hello, Fault::Refuse(10 * MS)),
        at("refuse in a frame", Place::Frame, Fault::Refuse(10 * MS)),
        (
            "all together",
            all.after(5, Direction::ToClient, Fault::OneByteAtATime)
                .after(20, Direction::ToServer, Fault::Delay(MS)),
        ),
    ]
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for operation in Operation::ALL {
        for (name, plan) in plans(operation) {
            for halves in HALVES {
                let plan = plan.clone();
                cells.push(Cell {
                    name,
                    plan,
                    operation,
                    halves,
                });
            }
        }
    }
    cells
}

#[test]
fn every_fault_is_survived_by_sessions_without_a_lost_byte_on_both_runtimes() {
    let run = |cell: Cell| (cell.name(), cell.run().boxed());
    let summary = Summary::of_both_runtimes(move || cells().into_iter().map(run).collect());
    assert_eq!(summary.cells, 21 * 5 * 3 * 2);
    // Six faults are in frames, and two connections of a cell have them. Those in handshakes lose no
    // connection, because there is none yet.
    assert!(summary.reports.losses >= 2 * 6 * 5 * 3 * 2);
}

#[tokio::test]
async fn the_same_faults_end_or_stop_a_plain_connection() {
    for (name, plan) in plans(Operation::Write) {
        let is_slow_only = ["late, one byte at a time", "delay"].contains(&name);
        let ended = timeout(500 * MS, control(plan)).await;
        let is_unharmed = matches!(ended, Ok(Ok(())));
        assert!(is_slow_only || !is_unharmed, "{name}");
    }
}
