//! What the answers may be.

use std::io::{self, ErrorKind};
use std::time::Duration;

use reconnecting_stream::{ConnectionLost, Eof, GaveUp, Seam, State};
use tokio::time::Instant;

use super::super::classify::{PASSING_READ, PASSING_WRITE};
use super::super::world::IDLE;
use super::client::{Answer, Client, Op};

impl Client {
    pub fn take(&mut self, op: Op, answer: Answer) {
        match answer {
            Answer::Read(Ok(bytes)) if bytes.is_empty() => self.take_end(),
            Answer::Read(Ok(bytes)) => self.take_bytes(&bytes),
            Answer::Read(Err(error)) => self.take_error(true, &error),
            Answer::Wrote(Ok(n)) => self.take_written(n),
            Answer::Flushed(Ok(())) => {}
            Answer::Wrote(Err(error)) | Answer::Flushed(Err(error)) => {
                self.take_error(false, &error);
            }
            Answer::ShutDown(answer) => self.take_shutdown(&answer),
            Answer::Generation(answer) => self.take_generation(op, &answer),
            Answer::Panicked => self.take_panic(),
        }
        if self.plan.reads_on && self.reader.op.is_none() && !self.reader.is_stopped {
            self.reader.begin(Op::Read(16));
        }
    }

    fn take_bytes(&mut self, bytes: &[u8]) {
        let mut world = self.rig.world();
        let (at, from, len) = world.last_read;
        let stream = &world.lines[at].stream;
        if stream.get(from..from + len) != Some(bytes) {
            world.fail("bytes: a read returned other bytes than the connection");
        }
        let generation = world.lines[at].generation;
        drop(world);
        self.check_crossed(true, generation);
    }

    fn take_written(&mut self, n: usize) {
        let mut world = self.rig.world();
        let (at, _, len) = world.last_write;
        if len != n {
            world.fail(format!(
                "bytes: a write of {n} gave {len} to the connection"
            ));
        }
        if n == 0 {
            return;
        }
        let generation = world.lines[at].generation;
        drop(world);
        self.check_crossed(false, generation);
    }

    /// "A half that is about to cross a seam first gets exactly one error."
    fn check_crossed(&mut self, reads: bool, generation: u64) {
        let told = if reads {
            &self.reader_told
        } else {
            &self.writer_told
        };
        let crossed = match self.plan.settings.seam {
            Seam::Hidden => return,
            Seam::Eof if reads => told.ends,
            Seam::Error | Seam::Eof => told.lost,
        };
        if crossed + 1 != generation {
            self.rig.world().fail(format!(
                "seam: a half is on {generation}, and was told of {crossed}: \"exactly one error\""
            ));
        }
    }

    fn take_end(&mut self) {
        let (seam, is_shut) = (self.plan.settings.seam, self.shut.is_some());
        let mut world = self.rig.world();
        let last = world.generations.len() as u64;
        let live = world.live().is_some();
        let lost = if live { last - 1 } else { last };
        let passes = self.plan.settings.eof == Eof::Pass && live;
        // The seam of a connection that nothing replaces is told as an error.
        let crossed = if is_shut {
            last.saturating_sub(1)
        } else {
            lost
        };
        if seam == Seam::Eof && crossed > self.reader_told.ends && !world.is_killed {
            self.reader_told.ends = crossed;
            return;
        }
        if is_shut || world.is_closing {
            let line = world.generations.last().map(|at| &world.lines[*at]);
            // Either it is the peer's own end, or the loss was told.
            let is_whole =
                line.is_none_or(|line| line.fin && !line.noticed && line.consumed == line.arrived);
            let is_told = self.reader_told_after_shutdown
                || self.reader_told.lost == last
                || self.reader_told.ends == last;
            if !is_whole && !is_told && !world.is_killed {
                world.fail(if self.shut == Some(true) {
                    "reader-untold: the shutdown answered the loss, and the reader was not told"
                } else {
                    "cut-reply: \"Never `Ok` and then an end of the stream\""
                });
            }
            self.reader.is_stopped = true;
        } else if passes || world.is_killed {
            self.reader.is_stopped = true;
        } else {
            world.fail("end: `Ok(0)` while the stream goes on");
        }
    }

    fn take_error(&mut self, reads: bool, error: &io::Error) {
        let state = self.rig.handle.get().expect("set").state();
        let mut world = self.rig.world();
        let is_final = world.is_closing || world.is_killed;
        let actor = if reads {
            &mut self.reader
        } else {
            &mut self.writer
        };
        if GaveUp::find(error).is_some() {
            actor.is_stopped = true;
            if !matches!(state, State::GaveUp) {
                world.fail(format!("gave-up: said in {state:?}"));
            }
            return;
        }
        if let Some(lost) = ConnectionLost::find(error) {
            drop(world);
            return self.take_loss(reads, lost.generation);
        }
        match error.kind() {
            PASSING_READ if reads => {}
            PASSING_WRITE if !reads => {}
            ErrorKind::BrokenPipe if is_final && !reads => {}
            _ if world.is_killed => {}
            _ => world.fail(format!("error: {error:?} for the caller")),
        }
    }

    fn take_loss(&mut self, reads: bool, generation: u64) {
        let mut world = self.rig.world();
        let told = if reads {
            &mut self.reader_told
        } else {
            &mut self.writer_told
        };
        let is_final = world.is_closing || world.is_killed;
        self.reader_told_after_shutdown |= reads && world.is_closing;
        let is_surplus = match self.plan.settings.seam {
            Seam::Hidden => !is_final,
            Seam::Eof => reads && !is_final,
            Seam::Error => false,
        };
        if is_surplus || generation <= told.lost && reads {
            world.fail(format!(
                "seam-surplus: told of {generation} after {}",
                told.lost
            ));
        }
        told.lost = generation;
    }

    fn take_panic(&mut self) {
        let mut world = self.rig.world();
        if world.panics_due == 0 {
            world.fail("panic: not the observer's");
        }
        world.panics_due = 0;
    }

    fn take_generation(&mut self, op: Op, answer: &io::Result<u64>) {
        let mut world = self.rig.world();
        match answer {
            Ok(generation) => {
                let live = world.live().map(|line| line.generation);
                if live != Some(*generation) {
                    world.fail(format!("connected: {generation} instead of {live:?}"));
                }
                if op == Op::Crossed {
                    let before = generation - 1;
                    self.reader_told.cross(before);
                    self.writer_told.cross(before);
                }
            }
            Err(error) if GaveUp::find(error).is_some() => self.reader.is_stopped = true,
            Err(_) if world.is_closing || world.is_killed => {}
            Err(error) => world.fail(format!("connected: {error}")),
        }
    }

    fn take_shutdown(&mut self, answer: &io::Result<()>) {
        let failed = answer.is_err();
        let is_killed = self.rig.world().is_killed;
        if let Some(before) = self.shut.filter(|before| *before != failed && !is_killed) {
            let why =
                format!("shutdown-twice: failed {before}, then {failed}: \"the same answer\"");
            self.rig.world().fail(why);
        }
        if let Err(error) = answer {
            if error.kind() == PASSING_WRITE {
                return;
            }
            if ConnectionLost::find(error).is_none() && GaveUp::find(error).is_none() {
                let mut world = self.rig.world();
                if !world.is_killed {
                    world.fail(format!("shutdown-error: {error:?}"));
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

    pub fn check_quiet(&mut self) {
        let state = self.rig.handle.get().expect("set").state();
        let reads = self.reader.op.filter(|_| self.reader.is_pending());
        let writes = self.writer.op.filter(|_| self.writer.is_pending());
        let mut world = self.rig.world();
        if reads.is_none() && writes.is_none() {
            return;
        }
        if matches!(state, State::GaveUp) || world.is_killed {
            world.fail(format!("hang-terminal: {reads:?} {writes:?} in {state:?}"));
        }
        world.check_attempts(Duration::from_millis(10));
        let Some(line) = world.live() else {
            let is_stuck = matches!(state, State::Connected { .. }) || self.shut.is_some();
            if is_stuck {
                world.fail(format!("hang: {reads:?} {writes:?} in {state:?}"));
            }
            return;
        };
        let can_write = line.reset || line.habits.room > 0;
        let is_readable = line.is_readable();
        let stalls = writes == Some(Op::Shutdown) && line.stalls_shutdown && !line.reset;
        if matches!(reads, Some(Op::Connected | Op::Crossed)) {
            world.fail("hang-connected: there is a connection");
        }
        if reads.is_some() && is_readable {
            world.fail("hang-reader: its connection can be read, and it was not woken");
        }
        if writes.is_some() && can_write && !stalls {
            world.fail(format!("hang-writer: {writes:?} can go on"));
        }
        drop(world);
        self.check_idle(reads);
    }

    fn check_idle(&self, reads: Option<Op>) {
        let mut world = self.rig.world();
        let since = |since: Option<Instant>| since.map_or(Duration::ZERO, |since| since.elapsed());
        let waited = since(self.waits_since).min(since(world.quiet_for));
        // A poll that comes late begins a wait again.
        let is_over = waited > IDLE + Duration::from_millis(40);
        if is_over && self.plan.has_idle_timeout && reads.is_some() && self.shut.is_none() {
            world.fail("idle: a read waits longer than the idle timeout");
        }
    }
}
