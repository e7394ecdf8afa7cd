//! What has to hold when an operation succeeds, and when no task was woken.

use std::time::Duration;

use reconnecting_stream::{Eof, Resend, State};
use tokio::time::Instant;

use super::super::line::Line;
use super::super::settings::Offline;
use super::super::world::{IDLE, World};
use super::client::{Client, Op};

impl World {
    /// `poll_ready` says that there is room: "The queue is bounded in bytes".
    pub fn check_room(&mut self) {
        if self.sending.may_drop {
            return;
        }
        let owed = self.sending.owed_bytes();
        let partly = self.last().map_or(0, |line| line.given.len() - line.parsed);
        let limit = match self.settings.resend {
            Resend::Unconfirmed { max_bytes } => max_bytes.max(1),
            _ => self.settings.max_queued.max(1) + partly,
        };
        if owed >= limit {
            self.fail(format!(
                "bound: ready with {owed} of {limit} bytes: \"The queue is bounded in bytes\""
            ));
        }
    }

    fn last(&self) -> Option<&Line> {
        self.lines.iter().rev().find(|line| line.is_adopted)
    }

    /// A flush has answered `Ok`.
    pub fn judge_flush(&mut self) {
        if self.is_closing || self.is_killed {
            return;
        }
        let all = self.sending.accepted.len();
        let is_done = match self.last() {
            None => self.sending.owed() == 0,
            Some(line) if line.is_alive() && !line.noticed => {
                self.sending.is_given(line, all)
                    && line.buffered() == 0
                    && !self.sending.has_transients_to_write(line)
            }
            // It may have been lost since it was flushed.
            Some(line) => self.sending.owed() == 0 || self.sending.is_given(line, all),
        };
        if !is_done {
            self.fail("flush-lies: a flush is Ok, and not everything has left");
        }
    }

    /// "It never answers `Ok` for what it dropped".
    pub fn judge_close(&mut self) {
        if self.is_killed {
            return;
        }
        let all = self.sending.accepted.len();
        let owes_nothing = self.sending.owed() == 0;
        let is_sent = match self.last() {
            None => owes_nothing,
            Some(line) => {
                let has_shut = line.is_shut && line.buffered() == 0;
                let may_not_shut = line.is_dropped || line.noticed;
                (owes_nothing && (has_shut || may_not_shut))
                    || (has_shut && self.sending.is_given(line, all))
            }
        };
        if !is_sent {
            self.fail("close-lies: \"it never answers `Ok` for what it dropped\"");
        }
    }
}

impl Client {
    /// No task was woken: nothing may be left that a waiting task could do.
    pub fn check_quiet(&mut self) {
        let state = self.rig.handle.get().expect("set").state();
        let reads = self.reader.op.filter(|_| self.reader.is_pending());
        self.update_slot();
        let mut writes = self.writer.op.filter(|_| self.writer.is_pending());
        if let Some(message) = self.slot {
            // `SplitSink` holds a message back, and waits for room for it first.
            writes = writes.map(|_| Op::Feed {
                message,
                flushes: false,
            });
        }
        let mut world = self.rig.world();
        if reads.is_none() && writes.is_none() {
            return;
        }
        let idle = self.waits_since.filter(|_| self.plan.has_idle_timeout);
        let verdict = world
            .judge_terminal(&state)
            .and_then(|()| world.judge_handshake())
            .and_then(|()| world.judge_waiting_reader(reads))
            .and_then(|()| world.judge_idle(reads, idle))
            .and_then(|()| world.judge_waiting_writer(writes, &state))
            .and_then(|()| world.judge_owed(reads == Some(Op::Connected) && writes.is_none()));
        world.check(verdict);
        world.check_attempts(super::BACKOFF);
    }
}

const READ_AHEAD: usize = 64 * 1024;

type Verdict = Result<(), String>;

fn fail_if(fails: bool, why: impl Into<String>) -> Verdict {
    if fails { Err(why.into()) } else { Ok(()) }
}

impl World {
    fn judge_terminal(&self, state: &State) -> Verdict {
        let is_over = matches!(state, State::GaveUp) || self.is_killed;
        fail_if(is_over, format!("hang-terminal: a task waits in {state:?}"))
    }

    fn judge_handshake(&self) -> Verdict {
        let line = self.lines.last().filter(|line| line.is_alive());
        let is_stuck =
            line.is_some_and(|line| !line.is_adopted && line.is_readable() && line.habits.room > 0);
        fail_if(
            is_stuck,
            "hang-handshake: it can go on, and no task was woken",
        )
    }

    fn judge_waiting_reader(&self, op: Option<Op>) -> Verdict {
        let (Some(Op::Next), Some(line)) = (op, self.live()) else {
            return Ok(());
        };
        let only_passed_end = !self.ends_are_losses() && line.fin && line.unread() == 0;
        fail_if(
            self.reading.got(line) < line.whole_items(line.consumed),
            "hang-buffered: the reader waits, and its next item was read",
        )?;
        fail_if(
            line.is_readable() && !only_passed_end,
            "hang-reader: its connection can be read, and it was not woken",
        )
    }

    /// "A read waits longer than `idle_timeout` without a byte": it has waited since then.
    fn judge_idle(&self, op: Option<Op>, since: Option<Instant>) -> Verdict {
        let (Some(Op::Next), Some(since), Some(line)) = (op, since, self.live()) else {
            return Ok(());
        };
        // A poll that comes late begins a wait again.
        let limit = IDLE + Duration::from_millis(40);
        let quiet = self.quiet_for.map(|quiet| quiet.elapsed());
        let is_over = since.elapsed() > limit && quiet.is_some_and(|quiet| quiet > limit);
        fail_if(
            is_over && !self.is_closing && !line.fin,
            "idle: a read waits longer than the idle timeout",
        )
    }

    fn judge_waiting_writer(&self, op: Option<Op>, state: &State) -> Verdict {
        let Some(op) = op else { return Ok(()) };
        let Some(line) = self.live() else {
            return self.judge_writer_of_outage(op, state);
        };
        let is_hidden = line.hides_its_end();
        // After an end that was passed on, only a write can find a reset.
        let sees_end = if line.fin {
            self.ends_are_losses()
        } else {
            line.reset
        };
        fail_if(
            sees_end && !is_hidden,
            format!("hang-writer-end: {op:?} waits, and the connection has ended"),
        )?;
        let may_go_on = line.habits.room > 0 && !line.has_ended() && !line.fails_to_write();
        match op {
            Op::Feed { .. } if self.sending.has_transients_to_write(line) => Ok(()),
            Op::Feed { .. } => self.judge_waiting_feed(line),
            Op::Flush => fail_if(may_go_on, "hang-flush: there is room"),
            Op::Close => fail_if(
                may_go_on && !line.stalls_shutdown,
                "hang-close: there is room",
            ),
            Op::FeedTransient(_) | Op::Next | Op::Connected => Ok(()),
        }
    }

    fn judge_writer_of_outage(&self, op: Op, state: &State) -> Verdict {
        if matches!(op, Op::Feed { .. }) && !self.is_closing {
            let waits = match self.settings.offline {
                Offline::Keep => false,
                Offline::Refuse => true,
                // Only what was never fully handed over may be dropped.
                Offline::DropOldest => self.sending.has_droppable(),
            };
            fail_if(waits, "offline: a message waits for a connection")?;
        }
        let ends = matches!(op, Op::Flush | Op::Close);
        fail_if(
            ends && self.sending.owed() == 0,
            format!("hang-outage: {op:?} waits in {state:?}, and owes nothing"),
        )
    }

    fn judge_waiting_feed(&self, line: &Line) -> Verdict {
        let owed = self.sending.kept_bytes(line);
        let window = match self.settings.resend {
            Resend::Unconfirmed { max_bytes } => max_bytes,
            _ => usize::MAX,
        };
        // A frame that was confirmed while it was being written has to be completed.
        let is_cut = line.given.len() > line.parsed;
        let is_known = self.sending.unseen() == 0;
        let has_room = is_known && !is_cut && owed < window.min(self.settings.max_queued).max(1);
        fail_if(
            has_room && !self.is_closing,
            format!("hang-ready: not ready with {owed} bytes: \"full means poll_ready pends\""),
        )
    }

    /// "What a connection owes goes out and is flushed whoever polls".
    fn judge_owed(&self, only_waits_for_a_connection: bool) -> Verdict {
        let Some(line) = self.live() else {
            return Ok(());
        };
        let is_blocked = line.habits.room == 0 || line.has_ended() || line.fails_to_write();
        let is_blocked = is_blocked || self.has_write_error;
        if is_blocked || only_waits_for_a_connection || self.is_closing {
            return Ok(());
        }
        let owed = line.frames.owed;
        fail_if(
            !self.sending.is_given(line, owed) || line.frames.hellos < line.frames.hellos_due,
            "owed-unsent: \"What a connection owes goes out whoever polls\"",
        )?;
        // What was accepted later may wait for a flush that is asked for.
        fail_if(
            line.left < line.frames.owed_end,
            "owed-unflushed: \"What a connection owes is flushed whoever polls\"",
        )
    }
}

impl World {
    /// "While a connection lives the read ahead is bounded by 64 KiB".
    pub fn check_read_ahead(&mut self) {
        let Some(line) = self.live().filter(|line| !line.noticed) else {
            return;
        };
        let waits = line.consumed - line.end_of(self.reading.got(line)).min(line.consumed);
        if waits > READ_AHEAD {
            self.fail(format!("read-ahead: {waits} bytes: \"bounded by 64 KiB\""));
        }
    }
}

/// An end that is passed on is not a loss.
pub const fn passes(eof: Eof) -> bool {
    matches!(eof, Eof::Pass)
}

impl World {
    /// Returns whether a last flush would find nothing to do.
    pub fn sending_is_done(&self, has_sink: bool) -> bool {
        let all = self.sending.accepted.len();
        !has_sink
            || self.sending.owed() == 0
            || self
                .last()
                .is_some_and(|line| line.is_alive() && self.sending.is_given(line, all))
    }
}
