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

/// What a task knows when it polls: nothing, its own waker, or that of the task it was before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Waited,
    WaitedElsewhere,
}

fn check_command_meets_poll(poll: HalfPoll, command: fn() -> Command) {
    for role in [Role::Read, Role::Write, Role::Connect] {
        for before in [Before::Nothing, Before::Waited, Before::WaitedElsewhere] {
            loom::model(move || {
                let mut owner = Owner::default();
                let (task, waker) = Task::new();
                let (_elsewhere, other_waker) = Task::new();
                match before {
                    Before::Nothing => {}
                    Before::Waited => assert!(poll(&mut owner, role, &waker)),
                    Before::WaitedElsewhere => assert!(poll(&mut owner, role, &other_waker)),
                }
                let remote = owner.guard.share();
                let handle = thread::spawn(move || remote.command(command()));
                let is_pending = poll(&mut owner, role, &waker);
                handle.join().unwrap();
                let is_stranded = is_pending && !task.take_woken();
                assert!(!is_stranded, "a command left a half waiting");
                let is_seen = !is_pending || !poll(&mut owner, role, &waker);
                assert!(is_seen, "a woken half found no command");
            });
        }
    }
}

fn reconnect() -> Command {
    Command::Reconnect
}

fn lose() -> Command {
    Command::Lose(1, std::io::ErrorKind::InvalidData.into())
}

#[test]
fn a_command_wakes_a_half_that_was_about_to_wait() {
    for poll in [poll, poll_with_transition] {
        check_command_meets_poll(poll, reconnect);
    }
    check_command_meets_poll(poll, || Command::Close);
    check_command_meets_poll(poll, lose);
}

#[test]
#[should_panic(expected = "a command left a half waiting")]
fn control_a_half_that_checks_before_it_registers_is_left_waiting() {
    check_command_meets_poll(poll_unseen, reconnect);
}

#[test]
#[should_panic(expected = "a command left a half waiting")]
fn control_a_half_that_loses_its_registration_is_left_waiting() {
    check_command_meets_poll(poll_with_lost_registration, reconnect);
}

#[test]
fn the_last_waker_is_woken_while_two_threads_wake() {
    loom::model(|| {
        let mut owner = Owner::default();
        let (reader, waker) = Task::new();
        assert!(poll(&mut owner, Role::Read, &waker));
        let threads =
            [owner.guard.waker(), owner.guard.waker()].map(|waker| thread::spawn(|| waker.wake()));
        let (writer, waker) = Task::new();
        assert!(poll(&mut owner, Role::Write, &waker));
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(reader.take_woken());

        owner.guard.wake_all();
        assert!(writer.take_woken(), "by the others, or by this");
    });
}

#[test]
fn two_handles_on_two_threads_lose_no_command_and_closing_replaces_a_reconnect() {
    loom::model(|| {
        let owner = Owner::default();
        let has_begun = Arc::new(AtomicBool::new(false));
        let (one, other) = (owner.guard.share(), owner.guard.share());
        let begins = Arc::clone(&has_begun);
        let closes = thread::spawn(move || one.command(Command::Close));
        let reconnects = thread::spawn(move || {
            begins.store(true, Ordering::SeqCst);
            other.command(Command::Reconnect);
        });
        let early = owner.guard.take_command();
        let has_begun = has_begun.load(Ordering::SeqCst);
        closes.join().unwrap();
        reconnects.join().unwrap();
        let seen = (early, owner.guard.take_command());
        let is_complete = match seen {
            (None | Some(Command::Reconnect), Some(Command::Close))
            | (Some(Command::Close), Some(Command::Reconnect)) => true,
            // Closing replaced a reconnect that was there already.
            (Some(Command::Close), None) => has_begun,
            _ => false,
        };
        assert!(is_complete, "a command was lost: {seen:?}");
        assert!(
            !owner.guard.flags.any(shared::COMMANDS),
            "a command came twice"
        );
    });
}

#[test]
fn a_loss_that_a_handle_marks_is_taken_once_with_its_cause() {
    loom::model(|| {
        let owner = Owner::default();
        let remote = owner.guard.share();
        let marks = thread::spawn(move || remote.command(lose()));
        let early = owner.guard.take_command();
        marks.join().unwrap();
        let seen = [early, owner.guard.take_command()];
        let taken = seen.iter().flatten().count();
        assert_eq!(taken, 1);
        assert!(matches!(
            seen.into_iter().flatten().next(),
            Some(Command::Lose(1, _))
        ));
    });
}

#[test]
fn the_owners_flags_are_neither_lost_nor_set_by_a_command() {
    loom::model(|| {
        let owner = Owner::default();
        let remote = owner.guard.share();
        let handle = thread::spawn(move || remote.command(Command::Close));
        let of_owner = &owner.guard.flags;
        of_owner.set(shared::READ_LOSS | shared::WRITE_LOSS);
        assert_eq!(of_owner.clear(shared::READ_LOSS), shared::READ_LOSS);
        assert_eq!(of_owner.clear(shared::READ_LOSS), 0);
        of_owner.set(shared::IDLE | shared::SHUTTING_DOWN);
        of_owner.clear(shared::IDLE);
        handle.join().unwrap();
        assert!(!of_owner.any(shared::READ_LOSS | shared::IDLE));
        assert!(of_owner.any(shared::WRITE_LOSS) && of_owner.any(shared::SHUTTING_DOWN));
        assert!(matches!(owner.guard.take_command(), Some(Command::Close)));
    });
}

#[test]
fn a_link_that_is_dropped_keeps_no_waker_and_a_late_command_does_nothing() {
    loom::model(|| {
        let mut owner = Owner::default();
        let remote = owner.guard.share();
        let (task, waker) = Task::new();
        assert!(poll(&mut owner, Role::Read, &waker));
        drop(waker);
        let handle = thread::spawn(move || {
            remote.command(Command::Close);
            remote
        });
        drop(owner);
        let remote = handle.join().unwrap();
        assert_eq!(Arc::strong_count(&task), 1, "a waker outlives its link");
        assert_eq!(*remote.watch(|| State::Closed).borrow(), State::Closed);
    });
}
