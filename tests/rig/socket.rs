//! The client's end of a scripted connection.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use reconnecting_stream::Verdict;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::classify;
use super::classify::{PASSING_READ, PASSING_WRITE};
use super::hook::{Op, When};
use super::line::Line;
use super::run::trace;
use super::world::{Rig, World};

pub struct Socket {
    rig: Arc<Rig>,
    line: usize,
}

impl Socket {
    pub fn new(rig: Arc<Rig>, line: usize) -> Self {
        Self { rig, line }
    }

    pub const fn line(&self) -> usize {
        self.line
    }

    /// Returns the scripted error of this operation.
    fn fail(&self, op: Op, world: &mut World) -> Option<io::Error> {
        let verdict = world.lines[self.line].failure_of(op)?;
        world.lines[self.line].failure = None;
        if op != Op::Read {
            world.forbid_dead(self.line, "used");
        }
        if verdict == Verdict::Surface {
            world.note_passing(self.line, op);
        }
        Some(classify::error(&self.rig, verdict, classify::phase_of(op)))
    }

    /// Runs an operation between its hooks; `None` waits.
    fn operate<T>(
        &self,
        op: Op,
        cx: &Context<'_>,
        run: impl FnOnce(&mut World, usize) -> Option<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.rig.run_hooks(op, When::Before);
        let mut world = self.rig.world();
        world.stats.operations += 1;
        let answer = self
            .fail(op, &mut world)
            .map(Err)
            .or_else(|| run(&mut world, self.line));
        let line = &mut world.lines[self.line];
        trace(|| describe(self.line, line, op, answer.as_ref()));
        if answer.is_none() {
            let slot = match op {
                Op::Read => &mut line.reader,
                Op::Write | Op::Flush | Op::Shutdown => &mut line.writer,
            };
            *slot = Some(cx.waker().clone());
        }
        if let Some(Err(error)) = &answer {
            if is_loss(error.kind()) {
                line.notice();
            }
        }
        drop(world);
        self.rig.run_hooks(op, When::After);
        answer.map_or(Poll::Pending, Poll::Ready)
    }
}

fn describe<T>(at: usize, line: &Line, op: Op, answer: Option<&io::Result<T>>) -> String {
    let answered = match answer {
        None => "Pending".into(),
        Some(Ok(_)) => "Ok".into(),
        Some(Err(error)) => format!("{:?}", error.kind()),
    };
    format!(
        "    line {at} {op:?}: {answered}; consumed {} of {}, given {}, left {}, room {}",
        line.consumed,
        line.arrived,
        line.given.len(),
        line.left,
        line.habits.room
    )
}

fn is_loss(kind: ErrorKind) -> bool {
    kind != PASSING_READ && kind != PASSING_WRITE
}

impl World {
    fn read(&mut self, at: usize, buf: &mut ReadBuf<'_>) -> Option<io::Result<()>> {
        let ends_are_losses = self.ends_are_losses();
        if self.is_of_bytes {
            self.forbid_dead(at, "read");
        }
        let line = &mut self.lines[at];
        match line.read(buf.remaining())? {
            Ok(bytes) => {
                if bytes.is_empty() && (ends_are_losses || line.reset) {
                    line.notice();
                }
                buf.put_slice(&bytes);
                self.last_read = (at, line.consumed - bytes.len(), bytes.len());
                Some(Ok(()))
            }
            Err(kind) => {
                if !is_loss(kind) {
                    self.note_passing(at, Op::Read);
                }
                Some(Err(kind.into()))
            }
        }
    }

    /// An operation fails, and the connection stays.
    fn note_passing(&mut self, at: usize, op: Op) {
        if op == Op::Read {
            let line = &mut self.lines[at];
            if line.passing_epoch != self.epoch {
                line.passing_untaken = 0;
            }
            line.passing_epoch = self.epoch;
            line.passing_untaken += 1;
            self.passing_met += 1;
        } else {
            self.has_write_error = true;
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> Option<io::Result<usize>> {
        self.forbid_dead(at, "written");
        let before = self.lines[at].given.len();
        let answer = self.lines[at].write(bytes)?;
        if answer == Err(PASSING_WRITE) {
            self.note_passing(at, Op::Write);
        }
        if self.is_of_bytes {
            self.last_write = (at, before, self.lines[at].given.len() - before);
        } else if answer.is_ok() {
            self.forbid_after_end(at, before);
            self.judge_sending(at);
        }
        Some(answer.map_err(io::Error::from))
    }

    /// "The connection is dropped at once": no operation follows its error but reads of what has
    /// arrived.
    fn forbid_dead(&mut self, at: usize, what: &str) {
        if self.lines[at].noticed && self.lines[at].is_adopted {
            self.fail(format!(
                "dead: a connection is {what} after its loss was seen"
            ));
        }
    }

    /// "A sender that never reads learns of every connection's end before it writes the next
    /// frame".
    fn forbid_after_end(&mut self, at: usize, before: usize) {
        let epoch = self.epoch;
        let line = &self.lines[at];
        let begins_one = before == line.parsed || starts_another(line);
        let was_there = line.ended.is_some_and(|ended| ended < epoch);
        let is_judged = self.judges_epochs && self.ends_are_losses() && line.is_adopted;
        if is_judged && was_there && begins_one && !line.hides_its_end() && line.fin {
            self.fail(
                "after-end: a frame begins on a connection whose end had arrived: \"learns of \
                 every connection's end before it writes the next frame\"",
            );
        }
    }
}

/// Whether the bytes that were written go beyond the frame that was cut.
fn starts_another(line: &Line) -> bool {
    super::codec::header(&line.given[line.parsed..])
        .is_some_and(|(_, _, len)| line.parsed + super::codec::HEADER + len < line.given.len())
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        self.operate(Op::Read, cx, |world, at| world.read(at, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.operate(Op::Write, cx, |world, at| world.write(at, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.operate(Op::Flush, cx, |world, at| {
            world.forbid_dead(at, "flushed");
            let flushed = world.lines[at].flush()?;
            Some(flushed.map_err(io::Error::from))
        })
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.operate(Op::Shutdown, cx, |world, at| {
            world.forbid_dead(at, "shut down");
            let shut = world.lines[at].shut_down()?;
            Some(shut.map_err(io::Error::from))
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        trace(|| format!("    line {} dropped", self.line));
        let mut world = self.rig.world();
        world.stats.losses += 1;
        let epoch = world.epoch;
        let line = &mut world.lines[self.line];
        (line.is_dropped, line.dropped) = (true, Some(epoch));
        if !line.noticed {
            line.must = line.must.max(line.consumed);
        }
        // A reactor forgets the tasks that it would have woken.
        let forgotten = line.wake_all();
        drop(world);
        drop(forgotten);
    }
}
