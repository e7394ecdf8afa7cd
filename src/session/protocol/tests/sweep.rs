//! A connection that is cut at every byte, and at every pair of bytes.
//!
//! ```text
//! SWEEP_STEP=1 SWEEP_SCRIPTS=300 cargo test --release --features session --lib sweep -- --nocapture
//! ```

use std::time::{Duration, Instant};

use super::network::World;
use super::random::Random;
use super::wire::Side;
use crate::session::protocol::options::Options;

const SIDES: [Side; 2] = [Side::Dialer, Side::Acceptor];

/// Where connections are cut: after so many bytes have arrived at this side, in all.
type Cut = (Side, u64);

fn options(buffer: usize, window: usize, ack_after: u64) -> Options {
    Options {
        send_buffer: buffer,
        receive_window: window,
        ack_after,
        ..Options::default()
    }
}

/// A conversation, and how the bytes move.
#[derive(Clone, Copy, Debug)]
struct Script {
    lengths: (u64, u64),
    options: Options,
    writes_first: bool,
    /// No more bytes are moved in one step.
    chunk: usize,
}

struct Run {
    world: World,
    script: Script,
    /// How many bytes have arrived at each side.
    arrived: [u64; 2],
    steps: u32,
}

impl Run {
    fn new(script: Script, now: Instant) -> Self {
        let mut world = World::new(now, script.options, script.lengths);
        if script.writes_first {
            world = world.writes_first();
        }
        Self {
            world,
            script,
            arrived: [0; 2],
            steps: 0,
        }
    }

    /// Runs to the end, with these cuts. Returns how many bytes have arrived at each side.
    fn finish(mut self, cuts: &[Cut]) -> [u64; 2] {
        let mut cuts = cuts.to_vec();
        while !self.world.is_complete() {
            self.steps += 1;
            assert!(self.steps < 20_000, "it does not end: {:#?}", self.world);
            if self.world.may_dial() {
                self.world.dial();
            }
            self.world.run_apps();
            let wire = self.world.wires.len() - 1;
            let mut has_moved = false;
            for side in SIDES {
                has_moved |= self.world.transmit(wire, side, self.script.chunk).is_some();
            }
            for to in SIDES {
                has_moved |= self.deliver(wire, to, &mut cuts);
                self.check();
            }
            for side in SIDES {
                if self.world.sees_end(wire, side) {
                    self.world.cut(wire, side);
                    has_moved = true;
                }
            }
            if !has_moved {
                // What is left waits for a timer.
                self.world.now += Duration::from_millis(25);
                let now = self.world.now;
                assert!(self.world.dialer.core.handle_timeout(now));
                for session in &mut self.world.sessions {
                    session.handle_timeout(now);
                }
            }
        }
        self.arrived
    }

    fn deliver(&mut self, wire: usize, to: Side, cuts: &mut Vec<Cut>) -> bool {
        let pending = self.world.pending(wire, to);
        if pending == 0 {
            return false;
        }
        let arrived = &mut self.arrived[to as usize];
        let next = cuts.iter().filter(|cut| cut.0 == to).map(|cut| cut.1).min();
        let until = next.map_or(usize::MAX, |at| usize::try_from(at - *arrived).unwrap());
        let n = pending.min(self.script.chunk).min(until);
        let before = pending;
        if n > 0 {
            self.world.deliver(wire, to, n);
            *arrived += (before - self.world.pending(wire, to).min(before)) as u64;
        }
        if next.is_some_and(|at| at <= *arrived) {
            cuts.retain(|cut| Some(cut.1) != next || cut.0 != to);
            self.world.cut_both(wire);
        }
        true
    }

    fn check(&self) {
        if let Some(rule) = self.world.violation() {
            panic!("{rule}: {:?} {:#?}", self.script, self.world);
        }
    }
}

/// Sweeps over every cut, and every pair of cuts where `pairs` is true. Returns how many cuts.
fn sweep(script: Script, step: u64) -> u64 {
    let now = Instant::now();
    let totals = Run::new(script, now).finish(&[]);
    let all: Vec<Cut> = SIDES
        .into_iter()
        .flat_map(|side| (0..=totals[side as usize]).map(move |at| (side, at)))
        .collect();
    let mut cuts = 0;
    for first in &all {
        Run::new(script, now).finish(&[*first]);
        cuts += 1;
        // After the first cut there is a second handshake, and more to replay.
        let more = 200;
        for side in SIDES {
            let from = if side == first.0 { first.1 + 1 } else { 0 };
            let seconds = from..=totals[side as usize] + more;
            for second in seconds.step_by(usize::try_from(step).unwrap()) {
                Run::new(script, now).finish(&[*first, (side, second)]);
                cuts += 2;
            }
        }
    }
    cuts
}

/// Returns the number that this variable has.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// Sweeps over a script: every pair of cuts in a release build, or with `SWEEP_STEP=1`; every 17th
/// second cut in a debug build, which is 20 times slower.
fn check(lengths: (u64, u64), options: Options, writes_first: bool, chunk: usize) {
    let script = Script {
        lengths,
        options,
        writes_first,
        chunk,
    };
    let step = if cfg!(debug_assertions) { 17 } else { 1 };
    println!("{} cuts", sweep(script, setting("SWEEP_STEP", step)));
}

/// Returns a script from a seed.
fn script(seed: u64) -> Script {
    let mut random = Random(seed);
    let mut up_to = |most| usize::try_from(random.below(most) + 1).unwrap();
    let (buffer, window, ack_after) = (up_to(24), up_to(24), up_to(20) as u64);
    let writes_first = up_to(2) == 1;
    // Ends that write before they read need room for everything.
    let most = if writes_first { buffer + window } else { 40 };
    Script {
        lengths: (up_to(most as u64) as u64, up_to(most as u64) as u64 - 1),
        options: Options {
            // So that one write takes several frames.
            max_payload: buffer.div_ceil(2),
            ..options(buffer, window, ack_after)
        },
        writes_first,
        chunk: up_to(60),
    }
}

#[test]
fn a_short_conversation_may_be_cut_at_every_byte_and_every_pair_of_bytes() {
    check((5, 3), options(64, 64, 1), false, usize::MAX);
}

#[test]
fn a_conversation_through_small_windows_may_be_cut_at_every_byte_and_every_pair_of_bytes() {
    check((9, 7), options(4, 3, 1), false, 7);
}

#[test]
fn ends_that_write_before_they_read_may_be_cut_at_every_byte_and_every_pair_of_bytes() {
    check((6, 6), options(3, 3, 2), true, 5);
}

#[test]
fn a_conversation_of_nothing_may_be_cut_at_every_byte_and_every_pair_of_bytes() {
    check((0, 0), options(8, 8, 1), false, 100);
}

#[test]
fn a_download_that_is_acknowledged_late_may_be_cut_at_every_byte_and_every_pair_of_bytes() {
    check((0, 20), options(8, 4, 100), false, 13);
}

#[test]
fn an_upload_may_be_cut_at_every_byte_and_every_pair_of_bytes() {
    check((70, 0), options(8, 16, 4), false, 40);
}

/// `SWEEP_SCRIPTS` says how many, and `SWEEP_FROM` the first seed.
#[test]
fn conversations_from_seeds_may_be_cut_at_every_byte_and_every_pair_of_bytes() {
    let from = setting("SWEEP_FROM", 0);
    let step = setting("SWEEP_STEP", 50);
    let mut cuts = 0;
    let scripts = setting("SWEEP_SCRIPTS", 4);
    for seed in from..from + scripts {
        cuts += sweep(script(seed), step);
    }
    println!("{cuts} cuts of {scripts} conversations");
}
