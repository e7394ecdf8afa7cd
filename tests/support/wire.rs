use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What can happen to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Reads and writes fail with `ConnectionReset`.
    Reset,
    /// Reads end after what has arrived.
    Eof,
    /// Reads and writes fail with this kind.
    Error(ErrorKind),
}

/// The stream's end of a scripted connection. It wakes as a real one does: only a task that got
/// `Pending`, and none once it is dropped.
pub struct Wire(Arc<Mutex<State>>);

/// The test's end.
#[derive(Clone)]
pub struct Peer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    arriving: VecDeque<u8>,
    sent: Vec<u8>,
    fault: Option<Fault>,
    /// The fault has been seen by an operation: nothing may touch the connection after it.
    is_dead: bool,
    touched_when_dead: bool,
    is_dropped: bool,
    /// How much the connection takes before it says `Pending`.
    room: usize,
    chunk: usize,
    is_shut_down: bool,
    stalls_shutdown: bool,
    flushes: usize,
    /// After so many more bytes in that direction, the connection is reset.
    arrives: Option<usize>,
    leaves: Option<usize>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Wire {
    pub fn new() -> (Self, Peer) {
        let state = Arc::new(Mutex::new(State {
            room: usize::MAX,
            chunk: usize::MAX,
            ..State::default()
        }));
        (Self(Arc::clone(&state)), Peer(state))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn touch(&mut self) {
        self.touched_when_dead |= self.is_dead;
    }

    fn fail(&mut self) -> Option<io::Error> {
        let kind = match self.fault? {
            Fault::Reset => ErrorKind::ConnectionReset,
            Fault::Error(kind) => kind,
            Fault::Eof => return None,
        };
        self.is_dead = kind != ErrorKind::InvalidData;
        Some(kind.into())
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }
}

impl Peer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn send(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.arriving.extend(bytes);
        state.wake();
    }

    pub fn fault(&self, fault: Fault) {
        let mut state = self.state();
        state.fault = Some(fault);
        state.wake();
    }

    /// A fault that only an operation meets: no task is woken.
    pub fn fault_unnoticed(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    pub fn reset(&self) {
        self.fault(Fault::Reset);
    }

    pub fn close(&self) {
        self.fault(Fault::Eof);
    }

    /// Removes the fault: the error was a transient one.
    pub fn heal(&self) {
        self.state().fault = None;
    }

    /// The connection takes so many more bytes.
    pub fn set_room(&self, room: usize) {
        let mut state = self.state();
        state.room = room;
        state.wake();
    }

    /// After so many more bytes that the stream reads, the connection is reset.
    pub fn reset_after_reading(&self, bytes: usize) {
        self.state().arrives = Some(bytes);
    }

    /// After so many more bytes that the stream writes, the connection is reset.
    pub fn reset_after_writing(&self, bytes: usize) {
        self.state().leaves = Some(bytes);
    }

    /// No read or write moves more than this.
    pub fn set_chunk(&self, chunk: usize) {
        self.state().chunk = chunk;
    }

    pub fn stall_shutdown(&self, stalls: bool) {
        let mut state = self.state();
        state.stalls_shutdown = stalls;
        state.wake();
    }

    pub fn received(&self) -> Vec<u8> {
        self.state().sent.clone()
    }

    pub fn is_shut_down(&self) -> bool {
        self.state().is_shut_down
    }

    pub fn is_dropped(&self) -> bool {
        self.state().is_dropped
    }

    pub fn flushes(&self) -> usize {
        self.state().flushes
    }

    /// Whether anything was done with the connection after it had reported its death.
    pub fn was_touched_when_dead(&self) -> bool {
        self.state().touched_when_dead
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state();
        state.touch();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if state.arrives == Some(0) {
            state.fault = Some(Fault::Reset);
        }
        // As in a kernel, a reset throws away what has arrived, an end does not.
        if let Some(error) = state.fail() {
            return Poll::Ready(Err(error));
        }
        if state.arriving.is_empty() {
            if state.fault == Some(Fault::Eof) {
                return Poll::Ready(Ok(()));
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut n = buf.remaining().min(state.arriving.len()).min(state.chunk);
        if let Some(left) = &mut state.arrives {
            n = n.min(*left);
            *left -= n;
        }
        let bytes: Vec<u8> = state.arriving.drain(..n).collect();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        state.touch();
        if state.leaves == Some(0) && !buf.is_empty() {
            state.fault = Some(Fault::Reset);
        }
        if let Some(error) = state.fail() {
            return Poll::Ready(Err(error));
        }
        let mut n = buf.len().min(state.room).min(state.chunk);
        if let Some(left) = &mut state.leaves {
            n = n.min(*left);
            *left -= n;
        }
        if n == 0 && !buf.is_empty() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.room -= n;
        state.sent.extend(&buf[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        state.touch();
        state.flushes += 1;
        Poll::Ready(state.fail().map_or(Ok(()), Err))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        state.touch();
        if let Some(error) = state.fail() {
            return Poll::Ready(Err(error));
        }
        if state.stalls_shutdown {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.is_shut_down = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let mut state = self.state();
        state.is_dropped = true;
        // A reactor forgets whom it would have woken.
        (state.reader, state.writer) = (None, None);
    }
}
