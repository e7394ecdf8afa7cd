//! An end whose application is gone, over connections that are cut at every byte: the peer always
//! gets the loss, and never a clean end of what it has written.

use std::time::{Duration, Instant};

use super::network::World;
use super::wire::Side;
use crate::session::protocol::core::{Core, Outcome};
use crate::session::protocol::error::Reason;
use crate::session::protocol::options::Options;

const SIDES: [Side; 2] = [Side::Dialer, Side::Acceptor];
const RESET: Option<Outcome> = Some(Outcome::Lost(Reason::PeerReset));

/// What the application does before it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drops {
    Unfinished,
    /// It has written and finished, and has read nothing.
    Finished,
}

struct Run {
    world: World,
    /// The side whose application is dropped.
    side: Side,
    drops: Drops,
    is_dropped: bool,
    /// What has arrived at each side.
    arrived: [usize; 2],
}

impl Run {
    fn new(side: Side, drops: Drops, now: Instant) -> Self {
        let options = Options {
            send_buffer: 64,
            receive_window: 64,
            ack_after: 1,
            ..Options::default()
        };
        Self {
            world: World::new(now, options, (5, 3)),
            side,
            drops,
            is_dropped: false,
            arrived: [0; 2],
        }
    }

    fn core(&mut self, side: Side) -> Option<&mut Core> {
        match side {
            Side::Dialer => self.world.dialer.id().map(|_| &mut self.world.dialer.core),
            Side::Acceptor => {
                let session = self.world.session()?;
                let acceptor = self.world.sessions[session].live()?;
                acceptor.core.is_confirmed().then_some(&mut acceptor.core)
            }
        }
    }

    fn other(&self) -> Side {
        match self.side {
            Side::Dialer => Side::Acceptor,
            Side::Acceptor => Side::Dialer,
        }
    }

    /// Drops the application of one side once it has its stream, and runs the other one.
    fn run_apps(&mut self) {
        let (other, drops) = (self.other(), self.drops);
        if !self.is_dropped {
            if let Some(core) = self.core(self.side) {
                core.write(b"last");
                match drops {
                    Drops::Unfinished => core.abort(Reason::PeerReset, Reason::PeerReset),
                    Drops::Finished => {
                        core.finish();
                        core.discard();
                    }
                }
                self.is_dropped = true;
            }
        }
        // It does not read: what it would read is not from an application of this model.
        if let Some(core) = self.core(other) {
            if !core.send().is_finished() {
                core.write(b"lost");
                core.finish();
            }
        }
    }

    /// Runs until both ends have ended, with a cut after so many bytes at one side.
    fn finish(mut self, cut: Option<(Side, usize)>) -> [usize; 2] {
        let mut cut = cut;
        for _ in 0..2000 {
            if self.world.may_dial() {
                self.world.dial();
            }
            self.run_apps();
            self.exchange(&mut cut);
            let has_ended = |core: Option<&mut Core>| core.is_some_and(|c| c.outcome().is_some());
            let is_told = !self.world.dialer.core.is_reset_untold();
            if has_ended(self.core(Side::Dialer)) && has_ended(self.core(Side::Acceptor)) && is_told
            {
                self.check();
                return self.arrived;
            }
        }
        panic!("it does not end: {:?} {:?}", self.side, self.drops);
    }

    fn exchange(&mut self, cut: &mut Option<(Side, usize)>) {
        let mut has_moved = false;
        for wire in 0..self.world.wires.len() {
            has_moved |= self.exchange_on(wire, cut);
        }
        if !has_moved {
            self.world.now += Duration::from_millis(25);
            let now = self.world.now;
            let _ = self.world.dialer.core.handle_timeout(now);
            for session in &mut self.world.sessions {
                session.handle_timeout(now);
            }
        }
    }

    /// Moves a byte in each direction. Returns whether anything has moved.
    fn exchange_on(&mut self, wire: usize, cut: &mut Option<(Side, usize)>) -> bool {
        let mut has_moved = false;
        for side in SIDES {
            has_moved |= self.world.transmit(wire, side, usize::MAX).is_some();
        }
        for to in SIDES {
            if self.world.pending(wire, to) > 0 {
                self.world.deliver(wire, to, 1);
                self.arrived[to as usize] += 1;
                has_moved = true;
            }
            if cut.is_some_and(|(at, n)| at == to && n <= self.arrived[to as usize]) {
                *cut = None;
                self.world.cut_both(wire);
            }
            if self.world.sees_end(wire, to) {
                self.world.cut(wire, to);
                has_moved = true;
            }
        }
        has_moved
    }

    fn check(&mut self) {
        let (other, drops) = (self.other(), self.drops);
        let left = self.core(other).expect("it has begun");
        assert_eq!(left.outcome(), RESET, "{drops:?}");
        assert!(!left.is_delivered(), "{drops:?}");
        if drops == Drops::Finished {
            assert_eq!(left.recv().unread(), 4, "what was written has arrived");
        }
    }
}

#[test]
fn a_drop_may_be_cut_at_every_byte_and_is_no_clean_end_for_the_peer() {
    let now = Instant::now();
    for side in SIDES {
        for drops in [Drops::Unfinished, Drops::Finished] {
            let totals = Run::new(side, drops, now).finish(None);
            for at in SIDES {
                for n in 0..=totals[at as usize] {
                    Run::new(side, drops, now).finish(Some((at, n)));
                }
            }
        }
    }
}
