//! How a case ends: the network heals, both halves get somewhere, and nothing is left behind.

use reconnecting_stream::{Connect, Eof, State};

use super::answer::Answer;
use super::plan::{Ms, Op, Role, Step};
use super::support::{Fault, Wire};
use super::world::World;

/// More than all scripted attempts and their backoffs can take together.
const MAX_TIME: Ms = 120_000;
/// How many polls one change of the stream may cost, of both halves together.
const POLLS_PER_CHANGE: usize = 8;

/// A byte each way.
const GOALS: [Op; 2] = [Op::Read(1), Op::Write(1)];

/// Both halves get somewhere, and from here on nobody polls who was not woken or told.
pub async fn heal<C: Connect<Io = Wire>>(world: &mut World<C>) {
    for role in [Role::Reader, Role::Writer, Role::Watcher] {
        world.apply(Step::Drop(role)).await;
    }
    let until = world.reference.dialer.now + MAX_TIME;
    let (polls, attempts) = (world.polls, world.reference.dialer.dialed.len());
    let mut rounds = 0;
    let mut goals = GOALS.to_vec();
    while !goals.is_empty() {
        mend(world);
        for op in &goals {
            if world.told(op.role()) != Some(&Answer::Pending) || rounds == 0 {
                world.apply(Step::Poll(*op)).await;
            }
        }
        world
            .apply(Step::Run {
                writer_first: rounds % 2 == 0,
            })
            .await;
        goals.retain(|op| !is_settled(world, *op));
        world.apply(Step::ToDeadline(0)).await;
        rounds += 1;
        assert!(world.reference.dialer.now < until, "an outage without end");
        assert!(rounds < 200, "no end, and no time passes");
    }
    let changes = rounds + world.reference.dialer.dialed.len() - attempts;
    let polls = world.polls - polls;
    assert!(
        polls <= POLLS_PER_CHANGE * changes,
        "{polls} polls for {changes} changes"
    );
}

/// The peer of the current connection does what it can.
fn mend<C: Connect<Io = Wire>>(world: &mut World<C>) {
    match world.reference.line.fault {
        Some(Fault::Error(std::io::ErrorKind::InvalidData)) => world.act_as_peer(Step::Heal),
        Some(fault) => world.act_as_peer(Step::Fault(fault)),
        None => {}
    }
    world.act_as_peer(Step::Room(usize::MAX));
    world.act_as_peer(Step::Send(1));
}

/// Whether this half has had its byte, or will never have one.
fn is_settled<C: Connect<Io = Wire>>(world: &World<C>, op: Op) -> bool {
    let reference = &world.reference;
    match world.told(op.role()).expect("it has polled") {
        Answer::Wrote(_) => true,
        Answer::Read(bytes) if bytes.is_empty() => {
            let is_passed = reference.dialer.rules.eof == Eof::Pass || reference.is_finishing;
            let has_ended = reference.line.fault == Some(Fault::Eof);
            reference.is_over() || (is_passed && has_ended)
        }
        Answer::Read(_) => true,
        Answer::Failed(_) => reference.is_over() || (op != Op::Read(1) && reference.is_finishing),
        Answer::Pending | Answer::Panicked => false,
        other => panic!("{other:?} is no answer to {op:?}"),
    }
}

/// A stream in peace is not polled.
pub async fn rest<C: Connect<Io = Wire>>(world: &mut World<C>) {
    if world.reference.dialer.rules.idle_timeout.is_some() {
        return;
    }
    let polls = world.polls;
    world.apply(Step::Poll(Op::Connected)).await;
    for _ in 0..5 {
        world.apply(Step::Advance(1_000)).await;
        world
            .apply(Step::Run {
                writer_first: false,
            })
            .await;
    }
    assert!(
        world.polls - polls <= POLLS_PER_CHANGE,
        "a stream in peace is busy"
    );
}

/// Nothing is left behind.
pub fn drop_stream<C: Connect<Io = Wire>>(world: World<C>) {
    let World {
        stream,
        handle,
        network,
        ..
    } = world;
    drop(stream);
    assert_eq!((network.open(), network.running()), (0, 0), "left behind");
    assert_eq!(handle.state(), State::Closed);
}
