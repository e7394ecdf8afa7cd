//! What a test does with its end of a connection.

use std::io::ErrorKind;
use std::sync::MutexGuard;
use std::task::Waker;

use super::socket::{Op, Remote, State, When};

impl Remote {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn run_hooks(&self, op: Op, when: When) {
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
