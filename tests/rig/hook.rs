//! What happens "on another thread" while an operation of a connection runs.

use std::io;

use reconnecting_stream::Verdict;
use tokio::time::Instant;

use super::harness::Rig;
use super::run::trace;

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
            let due = self.harness().take_hook(op, when);
            let Some(act) = due else { return };
            self.act(act);
        }
    }

    pub fn act(&self, act: Act) {
        trace(|| format!("  {act:?}"));
        match act {
            Act::Confirm => self.confirm(),
            Act::ConfirmReached => {
                self.harness().learn_what_reached();
                self.confirm();
            }
            Act::Reconnect => {
                self.harness().note_command();
                if let Some(handle) = self.handle.get() {
                    handle.reconnect();
                }
            }
            Act::MarkLost => {
                self.harness().note_loss();
                if let Some(handle) = self.handle.get() {
                    handle.mark_lost(io::Error::other("marked"));
                }
            }
            Act::Close => {
                self.harness().note_end();
                if let Some(handle) = self.handle.get() {
                    handle.close();
                }
            }
            of_the_peer => self.act_as_peer(of_the_peer),
        }
    }

    fn act_as_peer(&self, act: Act) {
        let mut harness = self.harness();
        let epoch = harness.epoch;
        let Some(connection) = harness
            .connections
            .last_mut()
            .filter(|connection| connection.is_alive())
        else {
            return;
        };
        let before = connection.arrived;
        let wakes = connection.act(act, epoch);
        if connection.arrived > before {
            harness.silent_since = Some(Instant::now());
            harness.last_arrival = epoch;
        }
        drop(harness);
        wakes.wake();
    }

    /// Confirms what is known to have arrived.
    fn confirm(&self) {
        // Under the lock, because the other thread compares what both have counted.
        let mut harness = self.harness();
        let n = harness.take_confirmable();
        if let Some(confirmations) = self.confirmations.get().filter(|_| n > 0) {
            confirmations.confirm(n);
        }
    }
}
