//! A scripted socket with one waker for each direction, as a socket of Tokio has.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
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
pub struct Remote(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    arriving: VecDeque<u8>,
    /// What reads return after everything that has arrived: the end, or this error.
    end: Option<Option<ErrorKind>>,
    /// The next operation of this kind fails once.
    failing: Vec<(Op, ErrorKind)>,
    /// Writes, flushes and shutdowns fail with this.
    is_broken: Option<ErrorKind>,
    room: usize,
    /// Bytes leave by a flush only.
    buffers: bool,
    buffered: Vec<u8>,
    sent: Vec<u8>,
    stalled: Vec<Op>,
    hooks: Vec<(Op, When, Hook)>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    is_shut_down: bool,
    is_dropped: bool,
    panics_on_drop: bool,
    operations: Vec<Op>,
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

impl Remote {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn run_hooks(&self, op: Op, when: When) {
        loop {
            let due = {
                let hooks = &mut self.state().hooks;
                let index = hooks
                    .iter()
                    .position(|(of, at, _)| (*of, *at) == (op, when));
                index.map(|index| hooks.remove(index).2)
            };
            match due {
                Some(hook) => hook(self),
                None => return,
            }
        }
    }

    /// Runs once, at the next operation of this kind, as if on another thread.
    pub fn at(&self, op: Op, when: When, hook: impl FnOnce(&Self) + Send + 'static) -> &Self {
        self.state().hooks.push((op, when, Box::new(hook)));
        self
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> &Self {
        let wakers = {
            let mut state = self.state();
            change(&mut state);
            [state.reader.take(), state.writer.take()]
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
        self
    }

    fn change_reading(&self, change: impl FnOnce(&mut State)) -> &Self {
        let waker = {
            let mut state = self.state();
            change(&mut state);
            state.reader.take()
        };
        waker.into_iter().for_each(Waker::wake);
        self
    }

    fn change_writing(&self, change: impl FnOnce(&mut State)) -> &Self {
        let waker = {
            let mut state = self.state();
            change(&mut state);
            state.writer.take()
        };
        waker.into_iter().for_each(Waker::wake);
        self
    }

    pub fn send(&self, bytes: impl AsRef<[u8]>) -> &Self {
        self.change_reading(|state| state.arriving.extend(bytes.as_ref()))
    }

    /// FIN: reads end after what has arrived, writes go into the void.
    pub fn finish(&self) -> &Self {
        self.change_reading(|state| state.end = Some(None))
    }

    /// RST: what has arrived can still be read, writes fail.
    pub fn reset(&self) -> &Self {
        self.break_with(ErrorKind::ConnectionReset)
    }

    pub fn break_with(&self, kind: ErrorKind) -> &Self {
        self.change(|state| {
            state.end = Some(Some(kind));
            state.is_broken = Some(kind);
        })
    }

    /// Only the writing side fails. Only its operations find out.
    pub fn break_writes(&self, kind: ErrorKind) -> &Self {
        self.change_writing(|state| state.is_broken = Some(kind))
    }

    /// The next operation of this kind fails, once.
    pub fn fail_once(&self, op: Op, kind: ErrorKind) -> &Self {
        self.change(|state| state.failing.push((op, kind)))
    }

    pub fn set_room(&self, room: usize) -> &Self {
        self.change_writing(|state| state.room = room)
    }

    /// Bytes leave by a flush only.
    pub fn buffer(&self) -> &Self {
        self.change(|state| state.buffers = true)
    }

    pub fn stall(&self, op: Op) -> &Self {
        self.change(|state| state.stalled.push(op))
    }

    pub fn resume(&self, op: Op) -> &Self {
        self.change(|state| state.stalled.retain(|stalled| *stalled != op))
    }

    pub fn panic_on_drop(&self) -> &Self {
        self.change(|state| state.panics_on_drop = true)
    }

    /// What has left, as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.state().sent.clone()).unwrap()
    }

    pub fn is_shut_down(&self) -> bool {
        self.state().is_shut_down
    }

    pub fn is_dropped(&self) -> bool {
        self.state().is_dropped
    }

    /// How often an operation of this kind was polled.
    pub fn count(&self, op: Op) -> usize {
        let state = self.state();
        state.operations.iter().filter(|of| **of == op).count()
    }

    /// How many bytes have arrived that were not read.
    pub fn unread(&self) -> usize {
        self.state().arriving.len()
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
