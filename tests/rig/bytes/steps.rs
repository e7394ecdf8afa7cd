//! One random step, and the end of a history.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use reconnecting_stream::State;
use tokio::time::advance;

use super::super::harness::Rig;
use super::super::hook::{Act, Hook, Op as SocketOp, When};
use super::super::run::{Failure, trace};
use super::client::{Bytes, Client, Halves, Op};

/// Loses the connection by a call on the whole. The observer may panic.
fn lose(rig: &Rig, stream: &mut Bytes, marks: bool) {
    trace(|| format!("stream: {}", if marks { "mark_lost" } else { "reconnect" }));
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if marks {
            rig.harness().note_loss();
            stream.mark_lost(std::io::Error::other("marked"));
        } else {
            rig.harness().note_command();
            stream.reconnect();
        }
    }));
    rig.harness().panics_due = 0;
}

impl Client {
    pub async fn step(&mut self) {
        self.steps += 1;
        match self.random.below(100) {
            0..20 => self.begin_write(),
            20..35 => self.begin_read(),
            35..42 => self.cancel(),
            42..78 => self.step_peer(),
            78..82 => self.command(),
            82..84 => self.drop_half(),
            84..92 => advance(Duration::from_millis(1 + self.random.below(30) as u64)).await,
            _ => {}
        }
        if self.random.one_in(2) {
            self.run();
        }
    }

    fn begin_write(&mut self) {
        if self.writer.op.is_some() || self.writer.is_stopped {
            return;
        }
        let shuts = self.plan.may_shut_down && self.random.one_in(15);
        if shuts || self.rig.harness().is_closing {
            self.begin_shutdown();
            return;
        }
        let len = self.random.pick(&[0, 1, 10, 60]);
        let op = if self.random.one_in(4) {
            Op::Flush
        } else {
            Op::Write(len)
        };
        self.writer.begin(op);
    }

    fn begin_shutdown(&mut self) {
        self.rig.harness().is_closing = true;
        self.writer.begin(Op::Shutdown);
    }

    fn begin_read(&mut self) {
        if self.reader.op.is_none() && !self.reader.is_stopped {
            let is_whole = matches!(self.halves, Halves::Whole(_));
            let op = match self.random.below(if is_whole { 12 } else { 6 }) {
                10 => Op::Connected,
                11 => Op::Resync,
                _ => Op::Read(self.random.pick(&[1, 8, 100])),
            };
            self.reader.begin(op);
        }
    }

    fn cancel(&mut self) {
        if self.random.one_in(2) {
            self.reader.cancel();
            self.waits_since = None;
        } else {
            self.writer.cancel();
        }
    }

    fn drop_half(&mut self) {
        let of = self.random.below(8);
        if let Halves::Split(reader, writer) = &mut self.halves {
            if of == 0 && writer.is_some() {
                *reader = None;
                self.reader.cancel();
                self.reader.is_stopped = true;
            } else if of == 1 && reader.is_some() && !self.rig.harness().is_closing {
                *writer = None;
                self.writer.cancel();
                self.writer.is_stopped = true;
            }
        }
    }

    fn command(&mut self) {
        if self.plan.may_be_killed && self.random.one_in(3) {
            return self.rig.act(Act::Close);
        }
        if self.rig.harness().is_closing {
            return;
        }
        match &mut self.halves {
            Halves::Whole(stream) if self.random.one_in(2) => {
                lose(&self.rig, stream, self.random.one_in(2));
            }
            _ => self.rig.act(Act::Reconnect),
        }
        self.revive();
    }

    fn revive(&mut self) {
        if self.rig.harness().is_killed {
            return;
        }
        let (reads, writes) = match &self.halves {
            Halves::Whole(_) => (true, true),
            Halves::Split(reader, writer) => (reader.is_some(), writer.is_some()),
        };
        self.reader.is_stopped = !reads;
        self.writer.is_stopped = !writes;
    }

    fn step_peer(&mut self) {
        let act = self.act_of_the_peer();
        if !self.plan.has_hooks || self.random.one_in(2) {
            return self.rig.act(act);
        }
        let ops = [
            SocketOp::Read,
            SocketOp::Write,
            SocketOp::Flush,
            SocketOp::Shutdown,
        ];
        let hook = Hook {
            op: self.random.pick(&ops),
            when: self.random.pick(&[When::Before, When::After]),
            skip: self.random.pick(&[0, 0, 1, 3]),
            act,
        };
        self.rig.harness().hooks.push(hook);
    }

    fn act_of_the_peer(&mut self) -> Act {
        let random = &mut self.random;
        match random.below(100) {
            0..35 => Act::Items {
                count: 1,
                cut: random.pick(&[0, 4]),
            },
            35..50 => Act::Fin,
            50..65 => Act::Reset,
            65..85 => Act::Room(random.pick(&[1, 10, 1000])),
            85..90 => Act::Chunk(random.pick(&[1, 1000])),
            90..94 => Act::StallShutdown(random.one_in(2)),
            94..97 if !self.rig.harness().is_closing => {
                random.pick(&[Act::Reconnect, Act::MarkLost])
            }
            _ => Act::PassingRead,
        }
    }

    pub async fn tear_down(&mut self) -> Result<(), Failure> {
        self.rig.harness().make_healthy();
        for _ in 0..200 {
            self.rig.act(Act::StallShutdown(false));
            self.rig.act(Act::Room(usize::MAX));
            self.rig.act(Act::Chunk(usize::MAX));
            self.run();
            self.check()?;
            if self.is_finished() {
                return Ok(());
            }
            let state = self.rig.handle.get().expect("set").state();
            let is_final = self.rig.harness().is_closing || self.rig.harness().is_killed;
            if !is_final {
                if matches!(state, State::GaveUp) {
                    self.rig.act(Act::Reconnect);
                }
                self.revive();
            }
            if self.writer.op.is_none() && !self.writer.is_stopped && self.shut.is_none() {
                self.begin_shutdown();
            }
            if self.reader.op.is_none() && !self.reader.is_stopped {
                self.reader.begin(Op::Read(64));
            }
            if self.rig.harness().is_closing && self.writer.op.is_none() {
                self.rig.act(Act::Fin);
            }
            self.run();
            self.check()?;
            advance(Duration::from_millis(10)).await;
        }
        let why = format!(
            "hang: reader {:?}, writer {:?}",
            self.reader.op, self.writer.op
        );
        self.rig.harness().fail(why);
        self.check()
    }

    /// The writer has shut down, and the reader has met the end. Without a writer there is none.
    fn is_finished(&self) -> bool {
        let has_writer = !matches!(self.halves, Halves::Split(_, None));
        let is_killed = self.rig.harness().is_killed;
        let has_shut = self.shut.is_some() || self.writer.is_stopped;
        let has_read = self.reader.is_stopped || !has_writer;
        (has_shut && has_read && self.writer.op.is_none())
            || (is_killed && self.reader.op.is_none() && self.writer.op.is_none())
    }
}
