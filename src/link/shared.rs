//! What a link shares with its handles, its timers and its connection: commands, flags and wakers.
//!
//! `tests/wakers_loom.rs` model-checks this file.

use std::io;
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Wake, Waker};

use tokio::sync::watch;

use super::flags::{ANY_WAITING, CLOSE, COMMANDS, Flags, MARK_LOST, RECONNECT, WAITING};
use super::state::State;
use crate::sync::Mutex;

/// Who polls a link. Each role has a waker slot of its own, since each may be another task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Read,
    Write,
    /// Waits for a connection without using it.
    Watch,
}

impl Role {
    const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Watch];

    #[inline]
    const fn waiting(self) -> u32 {
        WAITING << self as u32
    }
}

/// What a [`Handle`](super::Handle) asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Close,
    Reconnect,
    /// The application says that this generation is dead.
    Lose(u64, io::Error),
}

/// The connection that a handle has declared dead, and why.
type MarkedLost = (u64, io::Error);

/// Shared by the link, its handles, and the waker that timers, attempts and connections get.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) flags: Flags,
    /// A waker is in its slot from the moment its role is told `Pending` until it is woken.
    wakers: Mutex<Wakers>,
    /// Boxed, because it is there rarely.
    marked_lost: Mutex<Option<Box<MarkedLost>>>,
    /// Made for the first handle, because most streams have none.
    state: OnceLock<watch::Sender<State>>,
}

type Wakers = [Option<Waker>; 3];

impl Shared {
    /// Returns whether a handle has asked for something.
    pub(crate) fn has_command(&self) -> bool {
        self.flags.any(COMMANDS)
    }

    /// Asks the link, and wakes every task that polls it.
    pub(crate) fn command(&self, command: Command) {
        let flag = match command {
            Command::Close => CLOSE,
            Command::Reconnect => RECONNECT,
            Command::Lose(generation, cause) => {
                // Dropped after the lock is released, because an error is foreign code.
                let _dropped = self.mark_lost(Box::new((generation, cause)));
                MARK_LOST
            }
        };
        self.flags.set(flag);
        self.wake_all();
    }

    /// Keeps the mark of the latest generation. Returns the other one.
    fn mark_lost(&self, marked: Box<MarkedLost>) -> Option<Box<MarkedLost>> {
        let mut pending = lock(&self.marked_lost);
        if pending.as_ref().is_some_and(|last| last.0 >= marked.0) {
            return Some(marked);
        }
        pending.replace(marked)
    }

    /// Takes the pending command. Closing replaces the others, and a reconnect replaces a loss.
    pub(crate) fn take_command(&self) -> Option<Command> {
        let pending = self.flags.clear(COMMANDS);
        if pending == 0 {
            return None;
        }
        let marked_lost = lock(&self.marked_lost).take();
        if pending & CLOSE != 0 {
            Some(Command::Close)
        } else if pending & RECONNECT != 0 {
            Some(Command::Reconnect)
        } else {
            let (generation, cause) = *marked_lost?;
            Some(Command::Lose(generation, cause))
        }
    }

    pub(crate) fn publish(&self, state: State) {
        if let Some(watch) = self.state.get() {
            watch.send_replace(state);
        }
    }

    pub(crate) fn watch(&self, state: impl FnOnce() -> State) -> &watch::Sender<State> {
        self.state.get_or_init(|| watch::Sender::new(state()))
    }

    /// Wakes the tasks of all roles.
    pub(crate) fn wake_all(&self) {
        self.wake_others(None);
    }

    /// Wakes the tasks of all roles but this one, which is the one that polls.
    pub(crate) fn wake_others(&self, polling: Option<Role>) {
        let kept = polling.map_or(0, Role::waiting);
        let woken = {
            let mut wakers = lock(&self.wakers);
            let waiting = self.flags.clear(ANY_WAITING & !kept);
            Role::ALL.map(|role| {
                let is_waiting = waiting & role.waiting() != 0;
                is_waiting.then(|| wakers[role as usize].take()).flatten()
            })
        };
        // Outside of the lock: a waker is foreign code.
        woken.into_iter().flatten().for_each(Waker::wake);
    }

    fn register(&self, role: Role, waker: &Waker) {
        let new = Some(waker.clone());
        let old = {
            let mut wakers = lock(&self.wakers);
            self.flags.set(role.waiting());
            std::mem::replace(&mut wakers[role as usize], new)
        };
        drop(old);
    }

    fn deregister(&self, role: Role) {
        let old = {
            let mut wakers = lock(&self.wakers);
            self.flags.clear(role.waiting());
            wakers[role as usize].take()
        };
        drop(old);
    }
}

#[inline]
fn lock<T>(mutex: &Mutex<T>) -> crate::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes every task that polls the link.
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

/// Which waker was registered last for each half, so that the same one is not registered twice.
///
/// The identity of a waker is only compared while its flag says that a clone of it is in the
/// slot, so its address can't have been given to another one.
#[derive(Debug, Default)]
pub(crate) struct Registrations([(usize, usize); 2]);

impl Registrations {
    /// Registers the polling task, and returns whether there is something to do instead of
    /// waiting: a command, or what `look` finds.
    ///
    /// This is the one place that decides whether a task may wait. It registers first and looks
    /// second, so a change is either seen by the look, or made after the registration and
    /// followed by a wake-up. A caller that gets `false` returns `Pending`.
    #[inline]
    pub(crate) fn prepare_to_wait(
        &mut self,
        shared: &Shared,
        role: Role,
        waker: &Waker,
        look: impl FnOnce() -> bool,
    ) -> bool {
        if self.is_waiting(shared, role, waker) {
            return look();
        }
        self.register(shared, role, waker);
        shared.has_command() || look()
    }

    /// Returns whether this waker is registered and there is no command: one load tells both, so a
    /// command that comes after it finds the waker in its slot. The fast half of
    /// [`prepare_to_wait`](Self::prepare_to_wait).
    #[inline]
    pub(crate) fn is_waiting(&self, shared: &Shared, role: Role, waker: &Waker) -> bool {
        let flags = shared.flags.load();
        flags & (role.waiting() | COMMANDS) == role.waiting()
            && self.0.get(role as usize) == Some(&identity(waker))
    }

    #[cold]
    fn register(&mut self, shared: &Shared, role: Role, waker: &Waker) {
        shared.register(role, waker);
        // A watcher, which waits rarely, is registered each time.
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

    /// Removes the waker of a role that does not wait any more.
    pub(crate) fn deregister(&self, role: Role) {
        if self.0.flags.any(role.waiting()) {
            self.0.deregister(role);
        }
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
        self.publish(State::Closed);
        let wakers = {
            self.flags.clear(ANY_WAITING);
            std::mem::take(&mut *lock(&self.wakers))
        };
        drop(wakers);
    }
}
