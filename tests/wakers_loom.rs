//! Model-checked: what a link shares with its handles, timers, attempts and connection, in every
//! order in which threads can reach it. No wake-up and no command is ever lost.
//!
//! The sources are the crate's own, with the primitives of the model checker in place of the
//! standard library's. Each check is also run over a planted fault, and has to fail.

use std::sync::Arc;
use std::task::{Wake, Waker};

use loom::sync::atomic::AtomicBool;
use loom::thread;
use reconnecting_stream::State;

/// What `src/sync.rs` is in the crate.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
    pub(super) use loom::sync::{Mutex, MutexGuard};
}

/// What `src/link/mod.rs` is for the others.
mod link {
    pub(super) use super::shared::wake_each;
}

mod state {
    pub(super) use reconnecting_stream::State;
}

mod event {
    pub(super) use reconnecting_stream::Event;
}

#[allow(dead_code, unreachable_pub)]
#[path = "../src/link/events.rs"]
mod events;

#[allow(dead_code)]
#[path = "../src/link/commands.rs"]
mod commands;

#[allow(dead_code)]
#[path = "../src/link/shared.rs"]
mod shared;

#[allow(dead_code)]
#[path = "../src/framed/frames.rs"]
mod frames;

#[allow(dead_code, unreachable_pub)]
#[path = "../src/framed/resend.rs"]
mod resend;

#[allow(dead_code, unreachable_pub)]
#[path = "../src/framed/send_buffer/mod.rs"]
mod send_buffer;

#[allow(dead_code, unreachable_pub)]
#[path = "../src/framed/confirm.rs"]
mod confirm;

#[allow(dead_code)]
#[path = "../src/transfer/readiness.rs"]
mod readiness;

#[allow(dead_code)]
#[path = "../src/stream/split/half_lock.rs"]
mod half_lock;

#[allow(dead_code)]
#[path = "../src/reconnecting/lock.rs"]
mod lock;

#[path = "wakers_loom/arrivals.rs"]
mod arrivals;
#[path = "wakers_loom/confirmations.rs"]
mod confirmations;
#[path = "wakers_loom/halves.rs"]
mod halves;
#[path = "wakers_loom/handles.rs"]
mod handles;
#[path = "wakers_loom/tasks.rs"]
mod tasks;
#[path = "wakers_loom/timers.rs"]
mod timers;

use commands::Command;
use shared::{Registrations, Role, Shared, SharedGuard};
use sync::Ordering;

/// A task: it remembers whether it was woken.
#[derive(Default)]
struct Task(AtomicBool);

impl Task {
    fn new() -> (Arc<Self>, Waker) {
        let task = Arc::new(Self::default());
        (Arc::clone(&task), Waker::from(task))
    }

    fn take_woken(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        // Not a store: the model checker would let a swap of another thread overwrite it unread.
        self.0.swap(true, Ordering::SeqCst);
    }
}

/// The owner's side of a link.
#[derive(Default)]
struct Owner {
    guard: SharedGuard,
    registrations: Registrations,
}

impl Owner {
    /// Decides whether a task waits, as the crate does. True for `Pending`.
    fn waits(&mut self, role: Role, waker: &Waker, check: impl FnOnce() -> bool) -> bool {
        let shared = &*self.guard;
        !self
            .registrations
            .register_and_check(shared, role, waker, check)
    }

    /// A fault: checks first, and registers what has changed already.
    fn waits_unseen(&mut self, role: Role, waker: &Waker, check: impl FnOnce() -> bool) -> bool {
        let has_found = self.guard.flags.any(shared::COMMANDS) || check();
        let _ = self.waits(role, waker, || false);
        !has_found
    }
}

/// One poll of a half that finds nothing to do on its connection: true for `Pending`.
type HalfPoll = fn(&mut Owner, Role, &Waker) -> bool;

fn poll(owner: &mut Owner, role: Role, waker: &Waker) -> bool {
    owner.waits(role, waker, || false)
}

fn poll_unseen(owner: &mut Owner, role: Role, waker: &Waker) -> bool {
    owner.waits_unseen(role, waker, || false)
}

/// A poll that changes the link and continues: it wakes the other roles, and stays registered.
fn poll_with_transition(owner: &mut Owner, role: Role, waker: &Waker) -> bool {
    let is_pending = poll(owner, role, waker);
    owner.guard.wake_all_but(Some(role));
    is_pending && poll(owner, role, waker)
}

/// A fault: its own change removes its waker, and it does not check again.
fn poll_with_lost_registration(owner: &mut Owner, role: Role, waker: &Waker) -> bool {
    let is_pending = poll(owner, role, waker);
    owner.guard.deregister(role);
    is_pending
}
