//! What the answers may be.

use std::io::{self, ErrorKind};
use std::time::Duration;

use reconnecting_stream::{ConnectionLost, Eof, GaveUp, Seam, State};
use tokio::time::Instant;

use super::super::classify::{TRANSIENT_READ, TRANSIENT_WRITE};
use super::super::harness::IDLE;
use super::client::{Client, Op, PollOutcome};

impl Client {
    pub fn take(&mut self, op: Op, answer: PollOutcome) {
        match answer {
            PollOutcome::Read(Ok(bytes)) if bytes.is_empty() => self.take_end(),
            PollOutcome::Read(Ok(bytes)) => self.take_bytes(&bytes),
            PollOutcome::Read(Err(error)) => self.take_error(true, &error),
            PollOutcome::Wrote(Ok(n)) => self.take_written(n),
            PollOutcome::Flushed(Ok(())) => {}
            PollOutcome::Wrote(Err(error)) | PollOutcome::Flushed(Err(error)) => {
                self.take_error(false, &error);
            }
            PollOutcome::ShutDown(answer) => self.take_shutdown(&answer),
            PollOutcome::Generation(answer) => self.take_generation(op, &answer),
            PollOutcome::Panicked => self.take_panic(),
        }
        if self.plan.reads_on && self.reader.op.is_none() && !self.reader.is_stopped {
            self.reader.begin(Op::Read(16));
        }
    }

    fn take_bytes(&mut self, bytes: &[u8]) {
        let mut harness = self.rig.harness();
        let (at, from, len) = harness.last_read;
        let stream = &harness.connections[at].stream;
        if stream.get(from..from + len) != Some(bytes) {
            harness.fail("bytes: a read returned other bytes than the connection");
        }
        let generation = harness.connections[at].generation;
        drop(harness);
        self.check_seams(true, generation);
    }

    fn take_written(&mut self, n: usize) {
        let mut harness = self.rig.harness();
        let (at, _, len) = harness.last_write;
        if len != n {
            harness.fail(format!(
                "bytes: a write of {n} gave {len} to the connection"
            ));
        }
        if n == 0 {
            return;
        }
        let generation = harness.connections[at].generation;
        drop(harness);
        self.check_seams(false, generation);
    }

    /// "A half that is about to cross a seam first gets exactly one error."
    fn check_seams(&mut self, reads: bool, generation: u64) {
        let told = if reads {
            &self.reader_told
        } else {
            &self.writer_told
        };
        let seams_told = match self.plan.settings.seam {
            Seam::Hidden => return,
            Seam::Eof if reads => told.ends,
            Seam::Error | Seam::Eof => told.lost,
        };
        if seams_told + 1 != generation {
            self.rig.harness().fail(format!(
                "seam: a half is on {generation}, and was told of {seams_told}: \"exactly one error\""
            ));
        }
    }

    fn take_end(&mut self) {
        let (seam, is_shut) = (self.plan.settings.seam, self.shut.is_some());
        let mut harness = self.rig.harness();
        let last = harness.generations.len() as u64;
        let live = harness.live().is_some();
        let lost = if live { last - 1 } else { last };
        let passes = self.plan.settings.eof == Eof::Pass && live;
        // The seam of a connection that nothing replaces is told as an error.
        let seams_told = if is_shut {
            last.saturating_sub(1)
        } else {
            lost
        };
        if seam == Seam::Eof && seams_told > self.reader_told.ends && !harness.is_killed {
            self.reader_told.ends = seams_told;
            return;
        }
        if is_shut || harness.is_closing {
            let connection = harness
                .generations
                .last()
                .map(|at| &harness.connections[*at]);
            // Either it is the peer's own end, or the loss was told.
            let is_whole = connection.is_none_or(|connection| {
                connection.fin && !connection.noticed && connection.consumed == connection.arrived
            });
            let is_told = self.reader_told_after_shutdown
                || self.reader_told.lost == last
                || self.reader_told.ends == last;
            if !is_whole && !is_told && !harness.is_killed {
                harness.fail(if self.shut == Some(true) {
                    "reader-untold: the shutdown answered the loss, and the reader was not told"
                } else {
                    "cut-reply: \"Never `Ok` and then an end of the stream\""
                });
            }
            self.reader.is_stopped = true;
        } else if passes || harness.is_killed {
            self.reader.is_stopped = true;
        } else {
            harness.fail("end: `Ok(0)` while the stream continues");
        }
    }

    fn take_error(&mut self, reads: bool, error: &io::Error) {
        let state = self.rig.handle.get().expect("set").state();
        let mut harness = self.rig.harness();
        let is_final = harness.is_closing || harness.is_killed;
        let actor = if reads {
            &mut self.reader
        } else {
            &mut self.writer
        };
        if GaveUp::find(error).is_some() {
            actor.is_stopped = true;
            if !matches!(state, State::GaveUp) {
                harness.fail(format!("gave-up: said in {state:?}"));
            }
            return;
        }
        if let Some(lost) = ConnectionLost::find(error) {
            drop(harness);
            return self.take_loss(reads, lost.generation);
        }
        match error.kind() {
            TRANSIENT_READ if reads => {}
            TRANSIENT_WRITE if !reads => {}
            ErrorKind::BrokenPipe if is_final && !reads => {}
            _ if harness.is_killed => {}
            _ => harness.fail(format!("error: {error:?} for the caller")),
        }
    }

    fn take_loss(&mut self, reads: bool, generation: u64) {
        let mut harness = self.rig.harness();
        let told = if reads {
            &mut self.reader_told
        } else {
            &mut self.writer_told
        };
        let is_final = harness.is_closing || harness.is_killed;
        self.reader_told_after_shutdown |= reads && harness.is_closing;
        let is_surplus = match self.plan.settings.seam {
            Seam::Hidden => !is_final,
            Seam::Eof => reads && !is_final,
            Seam::Error => false,
        };
        if is_surplus || generation <= told.lost && reads {
            harness.fail(format!(
                "seam-surplus: told of {generation} after {}",
                told.lost
            ));
        }
        told.lost = generation;
    }

    fn take_panic(&mut self) {
        let mut harness = self.rig.harness();
        if harness.panics_due == 0 {
            harness.fail("panic: not the observer's");
        }
        harness.panics_due = 0;
    }

    fn take_generation(&mut self, op: Op, answer: &io::Result<u64>) {
        let mut harness = self.rig.harness();
        match answer {
            Ok(generation) => {
                let live = harness.live().map(|connection| connection.generation);
                if live != Some(*generation) {
                    harness.fail(format!("connected: {generation} instead of {live:?}"));
                }
                if op == Op::Resync {
                    let before = generation - 1;
                    self.reader_told.cross(before);
                    self.writer_told.cross(before);
                }
            }
            Err(error) if GaveUp::find(error).is_some() => self.reader.is_stopped = true,
            Err(_) if harness.is_closing || harness.is_killed => {}
            Err(error) => harness.fail(format!("connected: {error}")),
        }
    }

    fn take_shutdown(&mut self, answer: &io::Result<()>) {
        let failed = answer.is_err();
        let is_killed = self.rig.harness().is_killed;
        if let Some(before) = self.shut.filter(|before| *before != failed && !is_killed) {
            let why =
                format!("shutdown-twice: failed {before}, then {failed}: \"the same answer\"");
            self.rig.harness().fail(why);
        }
        if let Err(error) = answer {
            if error.kind() == TRANSIENT_WRITE {
                return;
            }
            if ConnectionLost::find(error).is_none() && GaveUp::find(error).is_none() {
                let mut harness = self.rig.harness();
                if !harness.is_killed {
                    harness.fail(format!("shutdown-error: {error:?}"));
                }
            }
            let Some(lost) = ConnectionLost::find(error) else {
                self.shut = Some(failed);
                return;
            };
            // A seam that the writer has not been told of comes before the shutdown begins.
            let is_told_of_seams = self.plan.settings.seam != Seam::Hidden;
            let is_seam = is_told_of_seams && lost.generation > self.writer_told.lost;
            self.writer_told.lost = lost.generation;
            if is_seam {
                return;
            }
        }
        self.shut = Some(failed);
    }

    pub fn check_waiting(&mut self) {
        let state = self.rig.handle.get().expect("set").state();
        let reads = self.reader.op.filter(|_| self.reader.is_pending());
        let writes = self.writer.op.filter(|_| self.writer.is_pending());
        let mut harness = self.rig.harness();
        if reads.is_none() && writes.is_none() {
            return;
        }
        if matches!(state, State::GaveUp) || harness.is_killed {
            harness.fail(format!("hang-terminal: {reads:?} {writes:?} in {state:?}"));
        }
        harness.check_attempts(Duration::from_millis(10));
        let Some(connection) = harness.live() else {
            let is_stuck = matches!(state, State::Connected { .. }) || self.shut.is_some();
            if is_stuck {
                harness.fail(format!("hang: {reads:?} {writes:?} in {state:?}"));
            }
            return;
        };
        let can_write = connection.reset || connection.habits.room > 0;
        let is_readable = connection.is_readable();
        let stalls =
            writes == Some(Op::Shutdown) && connection.stalls_shutdown && !connection.reset;
        if matches!(reads, Some(Op::Connected | Op::Resync)) {
            harness.fail("hang-connected: there is a connection");
        }
        if reads.is_some() && is_readable {
            harness.fail("hang-reader: its connection can be read, and it was not woken");
        }
        if writes.is_some() && can_write && !stalls {
            harness.fail(format!("hang-writer: {writes:?} can continue"));
        }
        drop(harness);
        self.check_idle(reads);
    }

    fn check_idle(&self, reads: Option<Op>) {
        let mut harness = self.rig.harness();
        let since = |since: Option<Instant>| since.map_or(Duration::ZERO, |since| since.elapsed());
        let waited = since(self.waits_since).min(since(harness.silent_since));
        // A poll that comes late begins a wait again.
        let is_over = waited > IDLE + Duration::from_millis(40);
        if is_over && self.plan.has_idle_timeout && reads.is_some() && self.shut.is_none() {
            harness.fail("idle: a read waits longer than the idle timeout");
        }
    }
}
