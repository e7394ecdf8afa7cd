//! A scripted socket with one waker for each direction, as a socket of Tokio has.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Read,
    Write,
    Flush,
    Shutdown,
}

/// On which side of an operation a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

type Hook = Box<dyn FnOnce(&Remote) + Send>;

/// The client's end. It wakes as a real one does: the last waker that it returned `Pending` to in
/// this direction, once, and no waker after it was dropped.
pub struct Socket(Remote);

/// The test's end.
#[derive(Clone)]
pub struct Remote(pub(super) Arc<Mutex<State>>);

#[derive(Default)]
pub struct State {
    pub(super) arriving: VecDeque<u8>,
    /// What reads return after everything that has arrived: the end, or this error.
    pub(super) end: Option<Option<ErrorKind>>,
    /// The next operation of this kind fails once.
    pub(super) failing: Vec<(Op, ErrorKind)>,
    /// Writes, flushes and shutdowns fail with this.
    pub(super) is_broken: Option<ErrorKind>,
    pub(super) room: usize,
    /// Bytes leave by a flush only.
    pub(super) buffers: bool,
    pub(super) buffered: Vec<u8>,
    pub(super) sent: Vec<u8>,
    pub(super) stalled: Vec<Op>,
    pub(super) hooks: Vec<(Op, When, Hook)>,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    pub(super) is_shut_down: bool,
    pub(super) is_dropped: bool,
    pub(super) panics_on_drop: bool,
    pub(super) operations: Vec<Op>,
}

impl Socket {
    pub fn new() -> (Self, Remote) {
        let remote = Remote(Arc::new(Mutex::new(State {
            room: usize::MAX,
            ..State::default()
        })));
        (Self(remote.clone()), remote)
    }

    /// Runs an operation between its hooks. `None` waits.
    fn operate<T>(
        &self,
        op: Op,
        cx: &Context<'_>,
        run: impl FnOnce(&mut State) -> Option<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.0.run_hooks(op, When::Before);
        let answer = {
            let mut state = self.0.state();
            state.operations.push(op);
            let answer = match state.take_failure(op) {
                Some(kind) => Some(Err(kind.into())),
                None if state.stalled.contains(&op) => None,
                None => run(&mut state),
            };
            if answer.is_none() {
                let slot = match op {
                    Op::Read => &mut state.reader,
                    Op::Write | Op::Flush | Op::Shutdown => &mut state.writer,
                };
                *slot = Some(cx.waker().clone());
            }
            answer
        };
        self.0.run_hooks(op, When::After);
        answer.map_or(Poll::Pending, Poll::Ready)
    }
}

impl State {
    fn take_failure(&mut self, op: Op) -> Option<ErrorKind> {
        let index = self.failing.iter().position(|(of, _)| *of == op)?;
        Some(self.failing.remove(index).1)
    }

    fn read(&mut self, room: usize) -> Option<io::Result<Vec<u8>>> {
        if self.arriving.is_empty() {
            let end = self.end?;
            return Some(end.map_or(Ok(Vec::new()), |kind| Err(kind.into())));
        }
        let n = room.min(self.arriving.len());
        Some(Ok(self.arriving.drain(..n).collect()))
    }

    fn write(&mut self, bytes: &[u8]) -> Option<io::Result<usize>> {
        if let Some(kind) = self.is_broken {
            return Some(Err(kind.into()));
        }
        let n = bytes.len().min(self.room);
        if n == 0 {
            return None;
        }
        self.room -= n;
        if self.buffers {
            self.buffered.extend(&bytes[..n]);
        } else {
            self.sent.extend(&bytes[..n]);
        }
        Some(Ok(n))
    }

    fn flush(&mut self) -> Option<io::Result<()>> {
        if let Some(kind) = self.is_broken {
            return Some(Err(kind.into()));
        }
        let buffered = std::mem::take(&mut self.buffered);
        self.sent.extend(buffered);
        Some(Ok(()))
    }

    fn shut_down(&mut self) -> Option<io::Result<()>> {
        let flushed = self.flush()?;
        self.is_shut_down = flushed.is_ok();
        Some(flushed)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buf.remaining();
        self.operate(Op::Read, cx, |state| {
            let read = state.read(room)?;
            Some(read.map(|bytes| buf.put_slice(&bytes)))
        })
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.operate(Op::Write, cx, |state| state.write(buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.operate(Op::Flush, cx, State::flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.operate(Op::Shutdown, cx, State::shut_down)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let (wakers, panics) = {
            let mut state = self.0.state();
            state.is_dropped = true;
            let panics = std::mem::take(&mut state.panics_on_drop);
            ((state.reader.take(), state.writer.take()), panics)
        };
        // A reactor forgets the tasks that it would have woken.
        drop(wakers);
        assert!(!panics, "scripted");
    }
}
