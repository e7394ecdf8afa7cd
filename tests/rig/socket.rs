//! The client's end of a scripted connection.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use reconnecting_stream::Verdict;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::classify;
use super::classify::{TRANSIENT_READ, TRANSIENT_WRITE};
use super::connection::Connection;
use super::harness::{Harness, Rig};
use super::hook::{Op, When};
use super::run::trace;

pub struct Socket {
    rig: Arc<Rig>,
    connection: usize,
}

impl Socket {
    pub fn new(rig: Arc<Rig>, connection: usize) -> Self {
        Self { rig, connection }
    }

    pub const fn connection(&self) -> usize {
        self.connection
    }

    /// Returns the scripted error of this operation.
    fn fail(&self, op: Op, harness: &mut Harness) -> Option<io::Error> {
        let verdict = harness.connections[self.connection].failure_of(op)?;
        harness.connections[self.connection].failure = None;
        if op != Op::Read {
            harness.forbid_dead(self.connection, "used");
        }
        if verdict == Verdict::Surface {
            harness.note_passing(self.connection, op);
        }
        Some(classify::error(&self.rig, verdict, classify::phase_of(op)))
    }

    /// Runs an operation between its hooks; `None` waits.
    fn operate<T>(
        &self,
        op: Op,
        cx: &Context<'_>,
        run: impl FnOnce(&mut Harness, usize) -> Option<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.rig.run_hooks(op, When::Before);
        let mut harness = self.rig.harness();
        harness.stats.operations += 1;
        let answer = self
            .fail(op, &mut harness)
            .map(Err)
            .or_else(|| run(&mut harness, self.connection));
        let connection = &mut harness.connections[self.connection];
        trace(|| describe(self.connection, connection, op, answer.as_ref()));
        if answer.is_none() {
            let slot = match op {
                Op::Read => &mut connection.reader,
                Op::Write | Op::Flush | Op::Shutdown => &mut connection.writer,
            };
            *slot = Some(cx.waker().clone());
        }
        if let Some(Err(error)) = &answer {
            if is_loss(error.kind()) {
                connection.notice();
            }
        }
        drop(harness);
        self.rig.run_hooks(op, When::After);
        answer.map_or(Poll::Pending, Poll::Ready)
    }
}

fn describe<T>(
    at: usize,
    connection: &Connection,
    op: Op,
    answer: Option<&io::Result<T>>,
) -> String {
    let answered = match answer {
        None => "Pending".into(),
        Some(Ok(_)) => "Ok".into(),
        Some(Err(error)) => format!("{:?}", error.kind()),
    };
    format!(
        "    connection {at} {op:?}: {answered}; consumed {} of {}, given {}, left {}, room {}",
        connection.consumed,
        connection.arrived,
        connection.given.len(),
        connection.left,
        connection.habits.room
    )
}

fn is_loss(kind: ErrorKind) -> bool {
    kind != TRANSIENT_READ && kind != TRANSIENT_WRITE
}

impl Harness {
    fn read(&mut self, at: usize, buf: &mut ReadBuf<'_>) -> Option<io::Result<()>> {
        let ends_are_losses = self.ends_are_losses();
        if self.is_of_bytes {
            self.forbid_dead(at, "read");
        }
        let connection = &mut self.connections[at];
        match connection.read(buf.remaining())? {
            Ok(bytes) => {
                if bytes.is_empty() && (ends_are_losses || connection.reset) {
                    connection.notice();
                }
                buf.put_slice(&bytes);
                self.last_read = (at, connection.consumed - bytes.len(), bytes.len());
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
            let connection = &mut self.connections[at];
            if connection.transient_epoch != self.epoch {
                connection.transient_untaken = 0;
            }
            connection.transient_epoch = self.epoch;
            connection.transient_untaken += 1;
            self.transient_met += 1;
        } else {
            self.has_write_error = true;
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> Option<io::Result<usize>> {
        self.forbid_dead(at, "written");
        let before = self.connections[at].given.len();
        let answer = self.connections[at].write(bytes)?;
        if answer == Err(TRANSIENT_WRITE) {
            self.note_passing(at, Op::Write);
        }
        if self.is_of_bytes {
            self.last_write = (at, before, self.connections[at].given.len() - before);
        } else if answer.is_ok() {
            self.forbid_after_end(at, before);
            self.check_sending(at);
        }
        Some(answer.map_err(io::Error::from))
    }

    /// "The connection is dropped immediately": no operation follows its error but reads of what has
    /// arrived.
    fn forbid_dead(&mut self, at: usize, what: &str) {
        if self.connections[at].noticed && self.connections[at].is_installed {
            self.fail(format!(
                "dead: a connection is {what} after its loss was seen"
            ));
        }
    }

    /// "A sender that never reads learns of every connection's end before it writes the next
    /// frame".
    fn forbid_after_end(&mut self, at: usize, before: usize) {
        let epoch = self.epoch;
        let connection = &self.connections[at];
        let begins_one = before == connection.parsed || starts_another(connection);
        let was_there = connection.ended.is_some_and(|ended| ended < epoch);
        let is_checked = self.checks_epochs && self.ends_are_losses() && connection.is_installed;
        if is_checked && was_there && begins_one && !connection.hides_its_end() && connection.fin {
            self.fail(
                "after-end: a frame begins on a connection whose end had arrived: \"learns of \
                 every connection's end before it writes the next frame\"",
            );
        }
    }
}

/// Whether the bytes that were written go beyond the frame that was cut.
fn starts_another(connection: &Connection) -> bool {
    super::codec::header(&connection.given[connection.parsed..]).is_some_and(|(_, _, len)| {
        connection.parsed + super::codec::HEADER + len < connection.given.len()
    })
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
        self.operate(Op::Read, cx, |harness, at| harness.read(at, buf))
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
        self.operate(Op::Write, cx, |harness, at| harness.write(at, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.operate(Op::Flush, cx, |harness, at| {
            harness.forbid_dead(at, "flushed");
            let flushed = harness.connections[at].flush()?;
            Some(flushed.map_err(io::Error::from))
        })
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.operate(Op::Shutdown, cx, |harness, at| {
            harness.forbid_dead(at, "shut down");
            let shut = harness.connections[at].shut_down()?;
            Some(shut.map_err(io::Error::from))
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        trace(|| format!("    connection {} dropped", self.connection));
        let mut harness = self.rig.harness();
        harness.stats.losses += 1;
        let epoch = harness.epoch;
        let connection = &mut harness.connections[self.connection];
        (connection.is_dropped, connection.dropped) = (true, Some(epoch));
        if !connection.noticed {
            connection.must = connection.must.max(connection.consumed);
        }
        // A reactor forgets the tasks that it would have woken.
        let forgotten = connection.wake_all();
        drop(harness);
        drop(forgotten);
    }
}
