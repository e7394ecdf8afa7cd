//! What has to hold when an operation succeeds, and when no task was woken.

use std::time::Duration;

use reconnecting_stream::{Eof, Resend, State};
use tokio::time::Instant;

use super::super::connection::Connection;
use super::super::harness::{Harness, IDLE};
use super::super::settings::Offline;
use super::client::{Client, Op};

impl Harness {
    /// `poll_ready` says that there is room: "The queue is bounded in bytes".
    pub fn check_room(&mut self) {
        if self.sending.may_drop {
            return;
        }
        let backlog = self.sending.backlog_bytes();
        let partly = self
            .last()
            .map_or(0, |connection| connection.given.len() - connection.parsed);
        let limit = match self.settings.resend {
            Resend::Unconfirmed { max_bytes } => max_bytes.max(1),
            _ => self.settings.max_queued.max(1) + partly,
        };
        if backlog >= limit {
            self.fail(format!(
                "bound: ready with {backlog} of {limit} bytes: \"The queue is bounded in bytes\""
            ));
        }
    }

    fn last(&self) -> Option<&Connection> {
        self.connections
            .iter()
            .rev()
            .find(|connection| connection.is_installed)
    }

    /// A flush has answered `Ok`.
    pub fn check_flush(&mut self) {
        if self.is_closing || self.is_killed {
            return;
        }
        let all = self.sending.accepted.len();
        let is_done = match self.last() {
            None => self.sending.backlog() == 0,
            Some(connection) if connection.is_alive() && !connection.noticed => {
                self.sending.is_given(connection, all)
                    && connection.buffered() == 0
                    && !self.sending.has_transients_to_write(connection)
            }
            // It may have been lost since it was flushed.
            Some(connection) => {
                self.sending.backlog() == 0 || self.sending.is_given(connection, all)
            }
        };
        if !is_done {
            self.fail("flush-lies: a flush is Ok, and not everything has left");
        }
    }

    /// "It never answers `Ok` for what it dropped".
    pub fn check_close(&mut self) {
        if self.is_killed {
            return;
        }
        let all = self.sending.accepted.len();
        let has_no_backlog = self.sending.backlog() == 0;
        let is_sent = match self.last() {
            None => has_no_backlog,
            Some(connection) => {
                let has_shut = connection.is_shut && connection.buffered() == 0;
                let may_not_shut = connection.is_dropped || connection.noticed;
                (has_no_backlog && (has_shut || may_not_shut))
                    || (has_shut && self.sending.is_given(connection, all))
            }
        };
        if !is_sent {
            self.fail("close-lies: \"it never answers `Ok` for what it dropped\"");
        }
    }
}

impl Client {
    /// No task was woken: nothing may be left that a waiting task could do.
    pub fn check_waiting(&mut self) {
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
        let mut harness = self.rig.harness();
        if reads.is_none() && writes.is_none() {
            return;
        }
        let idle = self.waits_since.filter(|_| self.plan.has_idle_timeout);
        let verdict = harness
            .check_terminal(&state)
            .and_then(|()| harness.check_handshake())
            .and_then(|()| harness.check_waiting_reader(reads))
            .and_then(|()| harness.check_idle(reads, idle))
            .and_then(|()| harness.check_waiting_writer(writes, &state))
            .and_then(|()| harness.check_backlog(reads == Some(Op::Connected) && writes.is_none()));
        harness.check(verdict);
        harness.check_attempts(super::BACKOFF);
    }
}

const READ_AHEAD: usize = 64 * 1024;

type Verdict = Result<(), String>;

fn fail_if(fails: bool, why: impl Into<String>) -> Verdict {
    if fails { Err(why.into()) } else { Ok(()) }
}

impl Harness {
    fn check_terminal(&self, state: &State) -> Verdict {
        let is_over = matches!(state, State::GaveUp) || self.is_killed;
        fail_if(is_over, format!("hang-terminal: a task waits in {state:?}"))
    }

    fn check_handshake(&self) -> Verdict {
        let connection = self
            .connections
            .last()
            .filter(|connection| connection.is_alive());
        let is_stuck = connection.is_some_and(|connection| {
            !connection.is_installed && connection.is_readable() && connection.habits.room > 0
        });
        fail_if(
            is_stuck,
            "hang-handshake: it can continue, and no task was woken",
        )
    }

    fn check_waiting_reader(&self, op: Option<Op>) -> Verdict {
        let (Some(Op::Next), Some(connection)) = (op, self.live()) else {
            return Ok(());
        };
        let only_passed_end = !self.ends_are_losses() && connection.fin && connection.unread() == 0;
        fail_if(
            self.reading.got(connection) < connection.whole_items(connection.consumed),
            "hang-buffered: the reader waits, and its next item was read",
        )?;
        fail_if(
            connection.is_readable() && !only_passed_end,
            "hang-reader: its connection can be read, and it was not woken",
        )
    }

    /// "A read waits longer than `idle_timeout` without a byte": it has waited since then.
    fn check_idle(&self, op: Option<Op>, since: Option<Instant>) -> Verdict {
        let (Some(Op::Next), Some(since), Some(connection)) = (op, since, self.live()) else {
            return Ok(());
        };
        // A poll that comes late begins a wait again.
        let limit = IDLE + Duration::from_millis(40);
        let silence = self.silent_since.map(|silence| silence.elapsed());
        let is_over = since.elapsed() > limit && silence.is_some_and(|silence| silence > limit);
        fail_if(
            is_over && !self.is_closing && !connection.fin,
            "idle: a read waits longer than the idle timeout",
        )
    }

    fn check_waiting_writer(&self, op: Option<Op>, state: &State) -> Verdict {
        let Some(op) = op else { return Ok(()) };
        let Some(connection) = self.live() else {
            return self.check_writer_of_outage(op, state);
        };
        let is_hidden = connection.hides_its_end();
        // After an end that was passed on, only a write can find a reset.
        let sees_end = if connection.fin {
            self.ends_are_losses()
        } else {
            connection.reset
        };
        fail_if(
            sees_end && !is_hidden,
            format!("hang-writer-end: {op:?} waits, and the connection has ended"),
        )?;
        let may_go_on =
            connection.habits.room > 0 && !connection.has_ended() && !connection.fails_to_write();
        match op {
            Op::Feed { .. } if self.sending.has_transients_to_write(connection) => Ok(()),
            Op::Feed { .. } => self.check_waiting_feed(connection),
            Op::Flush => fail_if(may_go_on, "hang-flush: there is room"),
            Op::Close => fail_if(
                may_go_on && !connection.stalls_shutdown,
                "hang-close: there is room",
            ),
            Op::FeedTransient(_) | Op::Next | Op::Connected => Ok(()),
        }
    }

    fn check_writer_of_outage(&self, op: Op, state: &State) -> Verdict {
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
            ends && self.sending.backlog() == 0,
            format!("hang-outage: {op:?} waits in {state:?}, and has no backlog"),
        )
    }

    fn check_waiting_feed(&self, connection: &Connection) -> Verdict {
        let backlog = self.sending.kept_bytes(connection);
        let window = match self.settings.resend {
            Resend::Unconfirmed { max_bytes } => max_bytes,
            _ => usize::MAX,
        };
        // A frame that was confirmed while it was being written has to be completed.
        let is_cut = connection.given.len() > connection.parsed;
        let is_known = self.sending.unseen() == 0;
        let has_room = is_known && !is_cut && backlog < window.min(self.settings.max_queued).max(1);
        fail_if(
            has_room && !self.is_closing,
            format!("hang-ready: not ready with {backlog} bytes: \"full means poll_ready pends\""),
        )
    }

    /// "The backlog leaves and is flushed whichever half polls".
    fn check_backlog(&self, only_waits_for_a_connection: bool) -> Verdict {
        let Some(connection) = self.live() else {
            return Ok(());
        };
        let is_blocked =
            connection.habits.room == 0 || connection.has_ended() || connection.fails_to_write();
        let is_blocked = is_blocked || self.has_write_error;
        if is_blocked || only_waits_for_a_connection || self.is_closing {
            return Ok(());
        }
        let backlog = connection.frames.backlog;
        fail_if(
            !self.sending.is_given(connection, backlog)
                || connection.frames.hellos < connection.frames.hellos_due,
            "backlog-unsent: \"The backlog leaves whichever half polls\"",
        )?;
        // What was accepted later may wait for a flush that is asked for.
        fail_if(
            connection.left < connection.frames.backlog_end,
            "backlog-unflushed: \"The backlog is flushed whichever half polls\"",
        )
    }
}

impl Harness {
    /// "While a connection lives the read ahead is bounded by 64 KiB".
    pub fn check_read_ahead(&mut self) {
        let Some(connection) = self.live().filter(|connection| !connection.noticed) else {
            return;
        };
        let waits = connection.consumed
            - connection
                .end_of(self.reading.got(connection))
                .min(connection.consumed);
        if waits > READ_AHEAD {
            self.fail(format!("read-ahead: {waits} bytes: \"bounded by 64 KiB\""));
        }
    }
}

/// An end that is passed on is not a loss.
pub const fn passes(eof: Eof) -> bool {
    matches!(eof, Eof::Pass)
}

impl Harness {
    /// Returns whether a last flush would find nothing to do.
    pub fn sending_is_done(&self, has_sink: bool) -> bool {
        let all = self.sending.accepted.len();
        !has_sink
            || self.sending.backlog() == 0
            || self.last().is_some_and(|connection| {
                connection.is_alive() && self.sending.is_given(connection, all)
            })
    }
}
