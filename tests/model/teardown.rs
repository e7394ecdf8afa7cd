//! How a case ends: the network heals, both halves get somewhere, and nothing is left behind.

use reconnecting_stream::{Connect, Eof, State};

use super::harness::Harness;
use super::outcome::PollOutcome;
use super::plan::{Ms, Op, Role, Step};
use super::support::{Fault, Wire};

/// More than all scripted attempts and their backoffs can take together.
const MAX_TIME: Ms = 120_000;
/// How many polls one change of the stream may cost, of both halves together.
const POLLS_PER_CHANGE: usize = 8;

/// A byte each way.
const GOALS: [Op; 2] = [Op::Read(1), Op::Write(1)];

/// Both halves make progress. From here on, a task polls only if it was woken or has a result.
pub async fn heal<C: Connect<Io = Wire>>(harness: &mut Harness<C>) {
    for role in [Role::Reader, Role::Writer, Role::Watcher] {
        harness.apply(Step::Drop(role)).await;
    }
    let until = harness.reference.attempts.now + MAX_TIME;
    let (polls, attempts) = (harness.polls, harness.reference.attempts.dialed.len());
    let mut rounds = 0;
    let mut goals = GOALS.to_vec();
    while !goals.is_empty() {
        mend(harness);
        for op in &goals {
            if harness.told(op.role()) != Some(&PollOutcome::Pending) || rounds == 0 {
                harness.apply(Step::Poll(*op)).await;
            }
        }
        harness
            .apply(Step::Run {
                writer_first: rounds % 2 == 0,
            })
            .await;
        goals.retain(|op| !is_complete(harness, *op));
        harness.apply(Step::ToDeadline(0)).await;
        rounds += 1;
        assert!(
            harness.reference.attempts.now < until,
            "an outage without end"
        );
        assert!(rounds < 200, "no end, and no time passes");
    }
    let changes = rounds + harness.reference.attempts.dialed.len() - attempts;
    let polls = harness.polls - polls;
    assert!(
        polls <= POLLS_PER_CHANGE * changes,
        "{polls} polls for {changes} changes"
    );
}

/// The peer of the current connection does what it can.
fn mend<C: Connect<Io = Wire>>(harness: &mut Harness<C>) {
    match harness.reference.connection.fault {
        Some(Fault::Error(std::io::ErrorKind::InvalidData)) => harness.act_as_peer(Step::Heal),
        Some(fault) => harness.act_as_peer(Step::Fault(fault)),
        None => {}
    }
    harness.act_as_peer(Step::Room(usize::MAX));
    harness.act_as_peer(Step::Send(1));
}

/// Whether this half has had its byte, or will never have one.
fn is_complete<C: Connect<Io = Wire>>(harness: &Harness<C>, op: Op) -> bool {
    let reference = &harness.reference;
    match harness.told(op.role()).expect("it has polled") {
        PollOutcome::Wrote(_) => true,
        PollOutcome::Read(bytes) if bytes.is_empty() => {
            let is_passed = reference.attempts.rules.eof == Eof::Pass || reference.is_shutting_down;
            let has_ended = reference.connection.fault == Some(Fault::Eof);
            reference.is_over() || (is_passed && has_ended)
        }
        PollOutcome::Read(_) => true,
        PollOutcome::Failed(_) => {
            reference.is_over() || (op != Op::Read(1) && reference.is_shutting_down)
        }
        PollOutcome::Pending | PollOutcome::Panicked => false,
        other => panic!("{other:?} is no answer to {op:?}"),
    }
}

/// A stream in peace is not polled.
pub async fn rest<C: Connect<Io = Wire>>(harness: &mut Harness<C>) {
    if harness.reference.attempts.rules.idle_timeout.is_some() {
        return;
    }
    let polls = harness.polls;
    harness.apply(Step::Poll(Op::Connected)).await;
    for _ in 0..5 {
        harness.apply(Step::Advance(1_000)).await;
        harness
            .apply(Step::Run {
                writer_first: false,
            })
            .await;
    }
    assert!(
        harness.polls - polls <= POLLS_PER_CHANGE,
        "a stream in peace is busy"
    );
}

/// Nothing is left behind.
pub fn drop_stream<C: Connect<Io = Wire>>(harness: Harness<C>) {
    let Harness {
        stream,
        handle,
        network,
        ..
    } = harness;
    drop(stream);
    assert_eq!((network.open(), network.running()), (0, 0), "left behind");
    assert_eq!(handle.state(), State::Closed);
}
