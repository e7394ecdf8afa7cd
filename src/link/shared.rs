//! What a link shares with its handles, its timers and its connection: flags, wakers, and what is
//! published.
//!
//! `tests/wakers_loom.rs` model-checks this file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Wake, Waker};
use std::thread;

use tokio::sync::watch;

use super::commands::MarkedLost;
use super::event::Event;
use super::events::Subscribers;
use super::state::State;
use crate::sync::{AtomicU32, Mutex, MutexGuard, Ordering};

pub(super) const CLOSE: u32 = 1;
pub(super) const RECONNECT: u32 = 1 << 1;
pub(super) const MARK_LOST: u32 = 1 << 2;
pub(crate) const COMMANDS: u32 = CLOSE | RECONNECT | MARK_LOST;
/// The last loss was not reported to the reader.
pub(crate) const READ_LOSS: u32 = 1 << 3;
/// The last loss was not reported to the writer.
pub(crate) const WRITE_LOSS: u32 = 1 << 4;
/// A connection came or went, and the stream of messages has not processed that.
pub(crate) const CHANGED: u32 = 1 << 5;
/// A read waits under the idle timer.
pub(crate) const IDLE: u32 = 1 << 6;
/// The shutdown of the connection has begun: no connection is replaced from here on. A close of
/// messages sets it once everything is sent.
pub(crate) const SHUTTING_DOWN: u32 = 1 << 7;
/// The connection has been shut down.
pub(crate) const SHUT_DOWN: u32 = 1 << 8;
/// The link was dropped: there will be no events.
pub(super) const NO_EVENTS: u32 = 1 << 12;
/// The reader's waker is in its slot. The bits of the other roles follow.
const WAITING: u32 = 1 << 9;
pub(crate) const WRITER_WAITS: u32 = WAITING << 1;
const ANY_WAITING: u32 = WAITING | WAITING << 1 | WAITING << 2;

/// What keeps an operation from the fast path. While none of its flags is set, a poll goes straight
/// to the connection.
///
/// Most bits belong to the owner of the link alone. They share one atomic with the commands of
/// other threads all the same, since the fast path then costs a single load.
#[derive(Debug, Default)]
pub(crate) struct Flags(AtomicU32);

impl Flags {
    /// Returns whether any of these flags is set.
    #[inline]
    pub(crate) fn any(&self, flags: u32) -> bool {
        self.0.load(Ordering::Acquire) & flags != 0
    }

    /// Sets these flags.
    pub(crate) fn set(&self, flags: u32) {
        self.0.fetch_or(flags, Ordering::AcqRel);
    }

    /// Clears these flags, and returns which of them were set.
    pub(crate) fn clear(&self, flags: u32) -> u32 {
        if self.any(flags) {
            self.0.fetch_and(!flags, Ordering::AcqRel) & flags
        } else {
            0
        }
    }
}

/// Who polls a link. Each role has a waker slot of its own, since each may be another task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Read,
    Write,
    /// Waits for a connection without using it.
    Connect,
}

impl Role {
    const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Connect];

    #[inline]
    const fn waiting(self) -> u32 {
        WAITING << self as u32
    }
}

/// Shared by the link, its handles, and the waker that timers, attempts and connections get.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) flags: Flags,
    /// A waker is in its slot from its registration until it is woken or deregistered.
    wakers: Mutex<[Option<Waker>; 3]>,
    /// Boxed, because most streams need none of it.
    pub(super) rare: Mutex<Option<Box<Rare>>>,
    /// Made for the first handle, because most streams have none.
    state: OnceLock<watch::Sender<State>>,
}

#[derive(Debug, Default)]
pub(crate) struct Rare {
    pub(super) marked_lost: Option<MarkedLost>,
    pub(super) subscribers: Option<Subscribers>,
}

impl Shared {
    /// Publishes the state and the events to those that have subscribed.
    pub(crate) fn publish(&self, state: State, events: &[Event]) {
        if let Some(watch) = self.state.get() {
            watch.send_replace(state);
        }
        let rare = lock(&self.rare);
        let subscribers = rare.as_ref().and_then(|rare| rare.subscribers.clone());
        // Outside of the lock: it wakes tasks.
        drop(rare);
        if let Some(subscribers) = subscribers {
            subscribers.publish(events);
        }
    }

    pub(crate) fn watch(&self, state: impl FnOnce() -> State) -> &watch::Sender<State> {
        self.state.get_or_init(|| watch::Sender::new(state()))
    }

    pub(crate) fn wake_all(&self) {
        self.wake_all_but(None);
    }

    /// Wakes the tasks of all roles but this one, which is the one that polls.
    pub(crate) fn wake_all_but(&self, polling: Option<Role>) {
        let kept = polling.map_or(0, Role::waiting);
        let woken = {
            let mut wakers = lock(&self.wakers);
            let waiting = self.flags.clear(ANY_WAITING & !kept);
            if waiting == 0 {
                return;
            }
            Role::ALL.map(|role| wakers[role as usize].take_if(|_| waiting & role.waiting() != 0))
        };
        // Outside of the lock: a waker is foreign code.
        wake_each(woken.into_iter().flatten());
    }

    /// Removes the waker of a role that does not wait any more.
    pub(crate) fn deregister(&self, role: Role) {
        if !self.flags.any(role.waiting()) {
            return;
        }
        let old = {
            let mut wakers = lock(&self.wakers);
            self.flags.clear(role.waiting());
            wakers[role as usize].take()
        };
        drop(old);
    }
}

#[inline]
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes tasks, without a lock. A waker that panics leaves none of the others waiting: its panic
/// continues after them, unless another one unwinds already.
pub(crate) fn wake_each(wakers: impl Iterator<Item = Waker>) {
    let mut remaining = Remaining(wakers);
    if !thread::panicking() {
        remaining.0.by_ref().for_each(Waker::wake);
    }
}

/// The tasks that are not woken yet.
struct Remaining<I: Iterator<Item = Waker>>(I);

impl<I: Iterator<Item = Waker>> Drop for Remaining<I> {
    fn drop(&mut self) {
        for waker in self.0.by_ref() {
            // A second panic while the first one unwinds would abort the process.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

/// Wakes every task that polls the link.
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_all_but(None);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all_but(None);
    }
}

/// Which waker was registered last for each half, so that the same one is not registered twice.
///
/// The identity of a waker is only compared while its flag says that a clone of it is in the
/// slot, so its address can't have been given to another one.
#[derive(Debug, Default)]
pub(crate) struct Registrations([(usize, usize); 2]);

impl Registrations {
    /// Registers the polling task, and returns whether it has something to do instead of waiting:
    /// a command, or what `has_work` finds. A caller that gets `false` returns `Pending`.
    ///
    /// This is the one place that decides whether a task may wait. It registers before it checks,
    /// so a change is either found by the check, or made after the registration and followed by a
    /// wake-up.
    #[inline]
    pub(crate) fn register_and_check(
        &mut self,
        shared: &Shared,
        role: Role,
        waker: &Waker,
        has_work: impl FnOnce() -> bool,
    ) -> bool {
        if self.is_registered(shared, role, waker) {
            return has_work();
        }
        self.register(shared, role, waker);
        shared.flags.any(COMMANDS) || has_work()
    }

    /// Returns whether this waker is registered and there is no command. One load tells both, so a
    /// command that comes after it finds the waker in its slot.
    #[inline]
    pub(crate) fn is_registered(&self, shared: &Shared, role: Role, waker: &Waker) -> bool {
        let flags = shared.flags.0.load(Ordering::Acquire);
        flags & (role.waiting() | COMMANDS) == role.waiting()
            && self.0.get(role as usize) == Some(&identity(waker))
    }

    #[cold]
    fn register(&mut self, shared: &Shared, role: Role, waker: &Waker) {
        let new = Some(waker.clone());
        let old = {
            let mut wakers = lock(&shared.wakers);
            shared.flags.set(role.waiting());
            std::mem::replace(&mut wakers[role as usize], new)
        };
        drop(old);
        // `Role::Connect`, which waits rarely, is registered each time.
        if let Some(last) = self.0.get_mut(role as usize) {
            *last = identity(waker);
        }
    }
}

#[inline]
fn identity(waker: &Waker) -> (usize, usize) {
    let vtable = std::ptr::from_ref(waker.vtable());
    (waker.data().addr(), vtable.addr())
}

/// The link's own reference. When it is dropped, the handles see the link closed.
#[derive(Debug, Default)]
pub(crate) struct SharedGuard(Arc<Shared>);

impl SharedGuard {
    /// Returns a reference for a handle.
    pub(crate) fn share(&self) -> Arc<Shared> {
        Arc::clone(&self.0)
    }

    /// Returns a waker that wakes the tasks of all roles.
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }
}

impl std::ops::Deref for SharedGuard {
    type Target = Shared;

    #[inline]
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for SharedGuard {
    fn drop(&mut self) {
        self.publish(State::Closed, &[]);
        self.end_events();
        self.flags.clear(ANY_WAITING);
        let wakers = std::mem::take(&mut *lock(&self.wakers));
        drop(wakers);
    }
}
