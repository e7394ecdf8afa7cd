//! What happens "on another thread" while an operation of a connection runs.

use std::io;

use reconnecting_stream::Verdict;
use tokio::time::Instant;

use super::run::trace;
use super::world::Rig;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Read,
    Write,
    Flush,
    Shutdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

#[derive(Clone, Copy, Debug)]
pub enum Act {
    Fin,
    Reset,
    Items {
        count: u8,
        cut: usize,
    },
    Burst {
        frames: usize,
    },
    Poison,
    Room(usize),
    Chunk(usize),
    Reply,
    /// Confirms what the reader knows to have arrived.
    Confirm,
    /// Confirms whatever has reached the peer of the newest connection.
    ConfirmReached,
    Reconnect,
    /// The application says that the connection is bad: a loss under the backoff.
    MarkLost,
    Close,
    PassingRead,
    PassingWrite,
    /// The next operation of this kind fails, and the classifier says this.
    Fail(Op, Verdict),
    StallShutdown(bool),
}

#[derive(Clone, Copy, Debug)]
pub struct Hook {
    pub op: Op,
    pub when: When,
    /// So many operations of this kind pass before.
    pub skip: usize,
    pub act: Act,
}

impl Rig {
    pub fn run_hooks(&self, op: Op, when: When) {
        loop {
            let due = self.world().take_hook(op, when);
            let Some(act) = due else { return };
            self.act(act);
        }
    }

    pub fn act(&self, act: Act) {
        trace(|| format!("  {act:?}"));
        match act {
            Act::Confirm => self.confirm(),
            Act::ConfirmReached => {
                self.world().learn_what_reached();
                self.confirm();
            }
            Act::Reconnect => {
                self.world().note_command();
                if let Some(handle) = self.handle.get() {
                    handle.reconnect();
                }
            }
            Act::MarkLost => {
                self.world().note_loss();
                if let Some(handle) = self.handle.get() {
                    handle.mark_lost(io::Error::other("marked"));
                }
            }
            Act::Close => {
                self.world().note_end();
                if let Some(handle) = self.handle.get() {
                    handle.close();
                }
            }
            of_the_peer => self.act_as_peer(of_the_peer),
        }
    }

    fn act_as_peer(&self, act: Act) {
        let mut world = self.world();
        let epoch = world.epoch;
        let Some(line) = world.lines.last_mut().filter(|line| line.is_alive()) else {
            return;
        };
        let before = line.arrived;
        let wakes = line.act(act, epoch);
        if line.arrived > before {
            world.quiet_for = Some(Instant::now());
            world.last_arrival = epoch;
        }
        drop(world);
        wakes.wake();
    }

    /// Confirms what is known to have arrived.
    fn confirm(&self) {
        let n = self.world().take_confirmable();
        if let Some(confirmations) = self.confirmations.get().filter(|_| n > 0) {
            confirmations.confirm(n);
        }
    }
}
