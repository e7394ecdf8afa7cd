//! The tasks that wait for a session: a reader, a writer and the driver.

use std::task::{Context, Poll, Waker};

use super::shared::{Inner, Session};
use crate::link::wake_each;

/// What a writer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitsFor {
    Room,
    Flush,
    Shutdown,
}

impl WaitsFor {
    const ALL: [Self; 3] = [Self::Room, Self::Flush, Self::Shutdown];
}

/// All that one task waits for: it may have polled a flush and a write, and both were pending.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waits([bool; 3]);

impl Waits {
    fn and(mut self, what: WaitsFor) -> Self {
        self.0[what as usize] = true;
        self
    }

    fn has(self, what: WaitsFor) -> bool {
        self.0[what as usize]
    }
}

/// Which of the tasks that wait polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiter {
    Reader,
    Writer(WaitsFor),
}

/// Tasks to wake once the lock is released, because a waker is foreign code. They are woken when this
/// is dropped, so also when the waker of another task panics.
#[must_use]
#[derive(Debug, Default)]
pub(super) struct Woken(pub(super) [Option<Waker>; 2]);

impl Drop for Woken {
    fn drop(&mut self) {
        wake_each(self.0.iter_mut().filter_map(Option::take));
    }
}

impl Session {
    /// Looks at the session under the lock for a task that polls. The task is registered before the
    /// last look, and without the lock, because the clone and the drop of a waker are foreign code.
    pub(super) fn poll<T>(
        &self,
        cx: &Context<'_>,
        waiter: Waiter,
        mut look: impl FnMut(&mut Inner) -> Poll<T>,
    ) -> Poll<T> {
        let mut inner = self.lock();
        let found = look(&mut inner);
        if found.is_ready() || inner.is_registered(cx.waker(), waiter) {
            return found;
        }
        drop(inner);
        let waker = cx.waker().clone();
        let (found, _before) = {
            let mut inner = self.lock();
            let before = inner.register(waker, waiter);
            // What has changed meanwhile has woken nothing.
            (look(&mut inner), before)
        };
        found
    }

    /// Looks at the session until `look` finds something, again after each change.
    pub(super) async fn wait_until<T>(&self, look: impl Fn(&mut Inner) -> Option<T>) -> T {
        let _watcher = Watcher::new(self);
        let mut changed = std::pin::pin!(self.changed.notified());
        loop {
            // Registered before the look.
            changed.as_mut().enable();
            let found = look(&mut self.lock());
            if let Some(found) = found {
                return found;
            }
            changed.as_mut().await;
            changed.set(self.changed.notified());
        }
    }
}

/// One of those that wait for a change.
struct Watcher<'a>(&'a Session);

impl<'a> Watcher<'a> {
    fn new(session: &'a Session) -> Self {
        session.lock().watchers += 1;
        Self(session)
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        self.0.lock().watchers -= 1;
    }
}

impl Inner {
    fn is_readable(&self) -> bool {
        let recv = self.core().recv();
        recv.unread() > 0 || recv.has_end() || self.has_ended()
    }

    /// Returns whether a reader waits, and need not wait any more.
    pub(super) fn wakes_reader(&self) -> bool {
        self.reader.is_some() && self.is_readable()
    }

    /// Returns whether something that a writer waits for has happened.
    fn is_ready(&self, waits: Waits) -> bool {
        let core = self.core();
        let is_ready = |what| match what {
            WaitsFor::Room => self.is_writable(),
            WaitsFor::Flush => core.is_flushed(),
            WaitsFor::Shutdown => core.send().is_complete(),
        };
        let mut all = WaitsFor::ALL.into_iter();
        self.has_ended() || all.any(|what| waits.has(what) && is_ready(what))
    }

    /// Returns whether a writer is registered for this.
    pub(super) fn waits_for(&self, what: WaitsFor) -> bool {
        matches!(self.writer, Some((_, waits)) if waits.has(what))
    }

    /// Returns whether a writer that waits is woken: not for every byte, so that writes stay large,
    /// but always if no more room comes by itself.
    fn is_writable(&self) -> bool {
        let core = self.core();
        let room = core.send().room();
        let is_much = room >= core.options().send_buffer.div_ceil(4);
        let can_send = core.epoch().is_some() && core.send().next_data().is_some();
        room > 0 && (is_much || !can_send)
    }

    /// Takes the wakers of the tasks that need not wait any more.
    pub(super) fn take_ready(&mut self) -> Woken {
        let reader = match self.wakes_reader() {
            true => self.reader.take(),
            false => None,
        };
        let writer = match self.writer {
            Some((_, waits)) if self.is_ready(waits) => self.writer.take().map(|(waker, _)| waker),
            Some(_) | None => None,
        };
        Woken([reader, writer])
    }

    /// Returns whether this task is registered, and for this.
    fn is_registered(&self, waker: &Waker, waiter: Waiter) -> bool {
        match (waiter, &self.reader, &self.writer) {
            (Waiter::Reader, Some(reader), _) => reader.will_wake(waker),
            (Waiter::Writer(what), _, Some((writer, waits))) => {
                waits.has(what) && writer.will_wake(waker)
            }
            (Waiter::Reader, None, _) | (Waiter::Writer(_), _, None) => false,
        }
    }

    /// Registers a task. Returns a waker to drop without the lock.
    fn register(&mut self, waker: Waker, waiter: Waiter) -> Option<Waker> {
        match waiter {
            Waiter::Reader => self.reader.replace(waker),
            Waiter::Writer(what) => {
                let before = self.writer.take();
                let own = before
                    .as_ref()
                    .filter(|(before, _)| before.will_wake(&waker));
                let waits = own.map_or(Waits::default(), |(_, waits)| *waits);
                self.writer = Some((waker, waits.and(what)));
                before.map(|(waker, _)| waker)
            }
        }
    }

    /// Registers the driver, which has nothing to do until the application does something. Its waker is
    /// one of Tokio's.
    pub(super) fn park_driver(&mut self, cx: &Context<'_>, is_blocked: bool) -> Option<Waker> {
        self.is_blocked = is_blocked;
        match &self.driver {
            Some(driver) if driver.will_wake(cx.waker()) => None,
            Some(_) | None => self.driver.replace(cx.waker().clone()),
        }
    }

    /// Takes the driver's waker if it waits.
    pub(super) fn take_driver(&mut self) -> Woken {
        Woken([self.driver.take(), None])
    }

    /// Takes the driver's waker if it waits, and now has bytes to write.
    pub(super) fn take_idle_driver(&mut self) -> Option<Waker> {
        match self.driver {
            Some(_) if !self.is_blocked && self.core().has_transmit() => self.driver.take(),
            Some(_) | None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::SessionOptions;
    use super::super::protocol::Dialer;
    use super::super::shared::End;
    use super::*;

    #[test]
    fn a_task_is_registered_before_the_last_look_which_sees_what_has_changed_meanwhile() {
        let options = SessionOptions::new();
        let options = options.of_session(options.full_share());
        let cx = Context::from_waker(Waker::noop());
        for waiter in [Waiter::Reader, Waiter::Writer(WaitsFor::Room)] {
            let dialer = Dialer::new(options, Vec::new());
            let session = Session::new(End::Dialer(dialer), &[]);
            let mut looks = 0;
            let found = session.poll(&cx, waiter, |inner| {
                looks += 1;
                let is_registered = inner.reader.is_some() || inner.writer.is_some();
                assert_eq!(is_registered, looks > 1);
                // It comes between the two looks.
                match looks > 1 {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            });
            assert!(found.is_ready(), "{waiter:?}");
        }
    }
}
