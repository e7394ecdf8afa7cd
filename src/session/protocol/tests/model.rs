//! A model: every order of what two ends and a network may do, with few bytes and few dials.
//!
//! It is a search over the real ends. The network may deliver or lose whatever is on its way, in
//! the order of each connection, and connections that the dialer has given up may deliver later.
//! From every state that is reached, a network that behaves from then on has to bring both ends to
//! their end.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use super::network::World;
use super::rewrite::Without;
use super::wire::Side;
use crate::session::protocol::options::Options;

const SIDES: [Side; 2] = [Side::Dialer, Side::Acceptor];

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// The application at this side makes a step.
    App(Side),
    Dial,
    /// This side of a connection writes a batch of frames.
    Transmit(usize, Side),
    /// The next batch arrives at this side.
    Deliver(usize, Side),
    /// This side sees the connection die.
    Cut(usize, Side),
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    dials: u64,
    /// How many connections may be cut.
    cuts: u32,
    states: usize,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Node {
    world: World,
    cuts: u32,
}

impl Node {
    fn actions(&self, bounds: Bounds) -> Vec<Action> {
        let world = &self.world;
        let mut actions: Vec<_> = SIDES.into_iter().map(Action::App).collect();
        if world.may_dial() && world.dials < bounds.dials {
            actions.push(Action::Dial);
        }
        for wire in 0..world.wires.len() {
            for side in SIDES {
                actions.push(Action::Transmit(wire, side));
                if world.pending(wire, side) > 0 {
                    actions.push(Action::Deliver(wire, side));
                }
                let may_cut = world.is_open(wire, side) && self.cuts < bounds.cuts;
                if may_cut || world.sees_end(wire, side) {
                    actions.push(Action::Cut(wire, side));
                }
            }
        }
        actions
    }

    /// Returns the state after an action; `None` if it changes nothing.
    fn after(&self, action: Action) -> Option<Self> {
        let mut next = self.clone();
        let world = &mut next.world;
        match action {
            Action::App(side) => {
                if !world.step_app(side) {
                    return None;
                }
            }
            Action::Dial => world.dial(),
            Action::Transmit(wire, side) => {
                world.transmit(wire, side, usize::MAX)?;
            }
            Action::Deliver(wire, to) => world.deliver(wire, to, usize::MAX),
            Action::Cut(wire, side) => {
                if !world.sees_end(wire, side) {
                    next.cuts += 1;
                }
                next.world.cut(wire, side);
            }
        }
        next.world.leave_early();
        Some(next)
    }
}

fn key(node: &Node) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        node.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// What a search has found.
#[derive(Debug)]
struct Found {
    states: usize,
    steps: usize,
    violation: Option<(&'static str, Vec<Action>)>,
}

/// Visits every state, the nearest first, up to the bounds.
fn search(world: World, bounds: Bounds) -> Found {
    let first = Node { world, cuts: 0 };
    let mut parents: HashMap<u128, Option<(u128, Action)>> = HashMap::from([(key(&first), None)]);
    let mut frontier = VecDeque::from([first]);
    let mut steps = 0;
    while let Some(node) = frontier.pop_front() {
        let at = key(&node);
        let broken = node.world.violation().or_else(|| unfinished(&node.world));
        if let Some(rule) = broken {
            let violation = Some((rule, trace(&parents, at)));
            let states = parents.len();
            return Found {
                states,
                steps,
                violation,
            };
        }
        if parents.len() >= bounds.states {
            continue;
        }
        for action in node.actions(bounds) {
            steps += 1;
            let Some(next) = node.after(action) else {
                continue;
            };
            if let std::collections::hash_map::Entry::Vacant(entry) = parents.entry(key(&next)) {
                entry.insert(Some((at, action)));
                frontier.push_back(next);
            }
        }
    }
    Found {
        states: parents.len(),
        steps,
        violation: None,
    }
}

fn trace(parents: &HashMap<u128, Option<(u128, Action)>>, mut at: u128) -> Vec<Action> {
    let mut actions = Vec::new();
    while let Some(Some((before, action))) = parents.get(&at) {
        actions.push(*action);
        at = *before;
    }
    actions.reverse();
    actions
}

/// Returns what is wrong if everything that is on its way arrives from now on, no connection dies,
/// and the dialer dials as often as it needs, and still the ends do not come to their end.
fn unfinished(world: &World) -> Option<&'static str> {
    let mut world = world.clone();
    for _ in 0..200 {
        world.run_apps();
        world.leave_early();
        if world.is_complete() {
            return world.violation();
        }
        if world.may_dial() {
            world.dial();
        }
        for wire in 0..world.wires.len() {
            for side in SIDES {
                while world
                    .transmit(wire, side, usize::MAX)
                    .is_some_and(|n| n > 0)
                {}
                while world.pending(wire, side) > 0 {
                    world.deliver(wire, side, usize::MAX);
                }
                if world.sees_end(wire, side) {
                    world.cut(wire, side);
                }
            }
        }
        if let Some(rule) = world.violation() {
            return Some(rule);
        }
    }
    Some("liveness: the ends do not come to their end")
}

fn options() -> Options {
    Options {
        send_buffer: 2,
        receive_window: 2,
        ack_after: 1,
        ack_delay: Duration::ZERO,
        ..Options::default()
    }
}

fn world(lengths: (u64, u64)) -> World {
    let mut world = World::new(Instant::now(), options(), lengths);
    world.reads_twice = true;
    world.set_chunk(1);
    world
}

fn states() -> usize {
    std::env::var("MODEL_STATES").map_or(5_000, |n| n.parse().expect("a number"))
}

#[test]
fn in_every_order_nothing_is_lost_and_both_ends_come_to_their_end() {
    for (lengths, writes_first, dials, cuts) in [
        ((1, 1), false, 2, 2),
        ((1, 0), false, 4, 4),
        ((0, 0), false, 4, 8),
        ((4, 4), true, 2, 1),
    ] {
        let mut world = world(lengths);
        if writes_first {
            world = world.writes_first();
        }
        let bounds = Bounds {
            dials,
            cuts,
            states: states(),
        };
        let found = search(world, bounds);
        let is_whole = found.states < bounds.states;
        println!(
            "{lengths:?}, {bounds:?}, whole: {is_whole}: {} states, {} steps",
            found.states, found.steps
        );
        assert!(found.violation.is_none(), "{found:#?}");
    }
}

#[test]
fn without_one_of_its_rules_the_model_finds_what_goes_wrong() {
    for (without, lengths, writes_first, dials) in [
        (Without::Epoch, (0, 0), false, 3),
        (Without::Offset, (1, 0), false, 2),
        (Without::Tombstone, (0, 0), false, 2),
        (Without::Linger, (0, 0), false, 1),
        (Without::Window, (4, 4), true, 1),
    ] {
        let mut world = world(lengths);
        if writes_first {
            world = world.writes_first();
        }
        let bounds = Bounds {
            dials,
            cuts: 2,
            states: 2_000_000,
        };
        let unchanged = unfinished(&world);
        assert_eq!(unchanged, None, "{without:?}, with all rules");
        world.without = without;
        let found = search(world, bounds);
        println!("{without:?}: {found:?}");
        assert!(found.violation.is_some(), "without {without:?}");
    }
}
