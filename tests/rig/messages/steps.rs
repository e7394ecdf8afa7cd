//! One random step.

use reconnecting_stream::State;

use super::super::classify;
use super::super::codec::Message;
use super::super::hook::{Act, Hook, Op as SocketOp, When};
use super::super::run::trace;
use super::client::{Client, Op, Role};
use super::halves::Halves;
use super::newer;
use super::pass;
use super::plan::Confirming;

impl Client {
    pub async fn step(&mut self) {
        self.steps += 1;
        match self.random.below(100) {
            0..24 => self.step_writer(),
            24..38 => self.step_reader(),
            38..45 => self.poll_due_one(),
            45..52 => self.cancel(),
            52..80 => self.step_peer(),
            80..84 => self.command(),
            84..87 => self.drop_half(),
            87..92 => pass(1 + self.random.below(30) as u64).await,
            _ => {}
        }
        if self.random.one_in(2) {
            self.run();
        }
    }

    pub fn next_message(&mut self) -> Message {
        let id = self.next_id;
        if self.plan.may_panic && self.random.one_in(10) {
            return self.random.pick(&[Message::Panics, Message::Refused]);
        }
        let len = self.random.pick(&[0, 1, 5, 20, 20, 90]);
        Message::Data { id, len }
    }

    pub fn step_writer(&mut self) {
        if self.writer.op.is_some() {
            return;
        }
        if self.writer.is_stopped {
            if self.plan.may_close && self.has_given_up() && self.random.one_in(4) {
                self.writer.begin(Op::Close);
            }
            return;
        }
        if self.plan.may_close && self.random.one_in(25) || self.rig.harness().is_closing {
            self.writer.begin(Op::Close);
            return;
        }
        if let Some(op) = self.next_transient() {
            return self.writer.begin(op);
        }
        let message = self.next_message();
        self.writer.begin(match self.random.below(5) {
            0 => Op::Flush,
            1 | 2 => Op::Feed {
                message,
                flushes: true,
            },
            _ => Op::Feed {
                message,
                flushes: false,
            },
        });
    }

    pub fn step_reader(&mut self) {
        let is_busy = self.reader.op.is_some() || self.reader.is_stopped;
        if is_busy || self.plan.never_reads {
            return;
        }
        let is_whole = matches!(self.halves, Halves::Whole(_));
        let waits = is_whole && self.random.one_in(6);
        self.reader
            .begin(if waits { Op::Connected } else { Op::Next });
    }

    fn poll_due_one(&mut self) {
        let role = self.random.pick(&[Role::Reader, Role::Writer]);
        if self.actor(role).is_due() {
            self.poll(role);
        }
    }

    /// Drops the future that a task is at.
    pub fn cancel(&mut self) {
        trace(|| "cancel".into());
        if self.random.one_in(2) {
            self.reader.cancel();
        } else {
            self.writer.cancel();
        }
    }

    fn drop_half(&mut self) {
        let of = self.random.below(12);
        if let Halves::Split(sink, stream) = &mut self.halves {
            if of == 0 && stream.is_some() && !self.writer.is_stopped {
                *sink = None;
                self.writer.cancel();
                self.writer.is_stopped = true;
            } else if of == 1 && sink.is_some() && !self.reader.is_stopped {
                *stream = None;
                self.reader.cancel();
                self.reader.is_stopped = true;
            }
        }
    }

    /// Returns whether the writer, which has given up, can continue after a reconnect.
    fn has_given_up(&self) -> bool {
        let state = self.rig.handle.get().expect("set").state();
        let has_sink = !matches!(self.halves, Halves::Split(None, _));
        has_sink && matches!(state, State::GaveUp) && !self.close_returned
    }

    fn command(&mut self) {
        if self.plan.may_be_killed && self.random.one_in(4) {
            return self.rig.act(Act::Close);
        }
        if self.rig.harness().is_closing && !self.has_given_up() {
            return;
        }
        let is_whole = matches!(self.halves, Halves::Whole(_));
        if is_whole && self.random.one_in(2) {
            self.rig.harness().epoch += 1;
            let marks = self.random.one_in(2);
            if let Halves::Whole(framed) = &mut self.halves {
                newer::lose(&self.rig, framed, marks);
            }
        } else {
            self.rig.act(Act::Reconnect);
        }
        self.revive();
    }

    /// After a reconnect that was asked for, what had given up continues.
    pub fn revive(&mut self) {
        let harness = self.rig.harness();
        let is_final = harness.is_killed || self.close_returned;
        drop(harness);
        let (has_sink, has_stream) = match &self.halves {
            Halves::Whole(_) => (true, true),
            Halves::Split(sink, stream) => (sink.is_some(), stream.is_some()),
        };
        if !is_final {
            self.reader.is_stopped = !has_stream;
            self.writer.is_stopped = !has_sink;
        }
    }

    fn step_peer(&mut self) {
        if self.plan.has_hooks && self.random.one_in(2) {
            let hook = Hook {
                op: self.random.pick(&[
                    SocketOp::Read,
                    SocketOp::Read,
                    SocketOp::Write,
                    SocketOp::Flush,
                    SocketOp::Shutdown,
                ]),
                when: self.random.pick(&[When::Before, When::After]),
                skip: self.random.pick(&[0, 0, 1, 3]),
                act: self.act_of_the_peer(),
            };
            return self.rig.harness().hooks.push(hook);
        }
        let act = self.act_of_the_peer();
        self.rig.act(act);
    }

    pub fn act_of_the_peer(&mut self) -> Act {
        let confirms_elsewhere = self.plan.confirming != Confirming::Answered;
        let random = &mut self.random;
        match random.below(100) {
            0..20 => Act::Items {
                count: 1 + u8::try_from(random.below(3)).unwrap(),
                cut: random.pick(&[0, 0, 0, 4, 12]),
            },
            20..40 => Act::Reply,
            40..50 => Act::Fin,
            50..60 => Act::Reset,
            60..75 => Act::Room(random.pick(&[1, 10, 40, 1000])),
            75..78 => Act::Chunk(random.pick(&[1, 5, 1000])),
            78..82 if self.plan.may_poison => Act::Poison,
            80..84 if self.plan.settings.has_classifier => {
                let ops = [
                    SocketOp::Read,
                    SocketOp::Write,
                    SocketOp::Flush,
                    SocketOp::Shutdown,
                ];
                Act::Fail(random.pick(&ops), random.pick(&classify::VERDICTS))
            }
            82..84 if self.plan.transient_errors => Act::PassingRead,
            84..86 if self.plan.transient_errors => Act::PassingWrite,
            86..88 if self.plan.may_burst => Act::Burst {
                frames: random.pick(&[20, 70, 150]),
            },
            88..90 => Act::StallShutdown(random.one_in(2)),
            90..94 if confirms_elsewhere => Act::ConfirmReached,
            94..97 if !self.rig.harness().is_closing => {
                random.pick(&[Act::Reconnect, Act::MarkLost])
            }
            _ if confirms_elsewhere => Act::Confirm,
            _ => Act::Reply,
        }
    }
}
