//! Model-checked: what a link shares with its handles, timers, attempts and connection, in every
//! order in which threads can reach it. No wake-up and no command is ever lost.
//!
//! The sources are the crate's own, with the primitives of the model checker in place of the
//! standard library's. Each check is also run over a planted fault, and has to fail.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

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

#[allow(dead_code)]
#[path = "../src/link/flags.rs"]
mod flags;

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

use confirm::{Acks, ConfirmHandle};
use readiness::Readiness;
use shared::{Command, Registrations, Role, Shared, SharedGuard};
use sync::{Mutex, Ordering};

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
        self.0.store(true, Ordering::SeqCst);
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
    fn waits(&mut self, role: Role, waker: &Waker, look: impl FnOnce() -> bool) -> bool {
        let shared = &*self.guard;
        !self
            .registrations
            .prepare_to_wait(shared, role, waker, look)
    }

    /// A fault: looks first, and registers what has changed already.
    fn waits_unseen(&mut self, role: Role, waker: &Waker, look: impl FnOnce() -> bool) -> bool {
        let has_found = self.guard.has_command() || look();
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
    owner.guard.wake_others(Some(role));
    is_pending && poll(owner, role, waker)
}

/// A fault: its own change removes its waker, and it does not look again.
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
    for role in [Role::Read, Role::Write, Role::Watch] {
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
fn control_a_half_that_looks_before_it_registers_is_left_waiting() {
    check_command_meets_poll(poll_unseen, reconnect);
}

#[test]
#[should_panic(expected = "a command left a half waiting")]
fn control_a_half_that_loses_its_registration_is_left_waiting() {
    check_command_meets_poll(poll_with_lost_registration, reconnect);
}

/// A timer or an attempt that fires on a thread of its own.
struct Timer {
    is_over: AtomicBool,
    shared: Arc<Shared>,
}

impl Timer {
    fn of(owner: &Owner) -> Arc<Self> {
        Arc::new(Self {
            is_over: AtomicBool::new(false),
            shared: owner.guard.share(),
        })
    }

    fn fire(&self) {
        self.is_over.store(true, Ordering::Release);
        self.shared.wake_all();
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

/// `slot` is where the writer's waker goes: a single slot for both halves is the fault that every
/// comparable crate has.
fn check_timer_meets_halves(slot: Role) {
    loom::model(move || {
        let mut owner = Owner::default();
        let timer = Timer::of(&owner);
        let (_left, first) = Task::new();
        let (moved, second) = Task::new();
        let (writer, other) = Task::new();
        assert!(owner.waits(Role::Read, &first, || timer.is_over()));
        assert!(owner.waits(slot, &other, || timer.is_over()));

        let remote = Arc::clone(&timer);
        let clock = thread::spawn(move || remote.fire());
        // The reader has moved to another task, which polls it.
        let moved_waits = owner.waits(Role::Read, &second, || timer.is_over());
        clock.join().unwrap();

        assert!(writer.take_woken(), "the other half was not woken");
        let is_stranded = moved_waits && !moved.take_woken();
        assert!(!is_stranded, "a half that moved was not woken");
    });
}

#[test]
fn a_timer_wakes_every_half_whichever_waker_it_registered_last() {
    check_timer_meets_halves(Role::Write);
}

#[test]
#[should_panic(expected = "the other half was not woken")]
fn control_a_single_slot_strands_the_other_half() {
    check_timer_meets_halves(Role::Read);
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
fn two_handles_at_once_lose_no_command_and_closing_replaces_a_reconnect() {
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
        assert!(!owner.guard.has_command(), "a command came twice");
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
        of_owner.set(flags::READ_LOSS | flags::WRITE_LOSS);
        assert_eq!(of_owner.clear(flags::READ_LOSS), flags::READ_LOSS);
        assert_eq!(of_owner.clear(flags::READ_LOSS), 0);
        of_owner.set(flags::IDLE | flags::SHUTTING_DOWN);
        of_owner.clear(flags::IDLE);
        handle.join().unwrap();
        assert!(!of_owner.any(flags::READ_LOSS | flags::IDLE));
        assert!(of_owner.any(flags::WRITE_LOSS) && of_owner.any(flags::SHUTTING_DOWN));
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

/// How a sender that is full decides whether it waits.
type FullSink = fn(&mut Owner, &Acks, &Waker) -> bool;

fn poll_room(owner: &mut Owner, acks: &Acks, waker: &Waker) -> bool {
    owner.waits(Role::Write, waker, || acks.has_pending())
}

fn poll_room_unseen(owner: &mut Owner, acks: &Acks, waker: &Waker) -> bool {
    owner.waits_unseen(Role::Write, waker, || acks.has_pending())
}

fn check_confirmation_meets_sink(poll: FullSink, confirm: fn(&ConfirmHandle, usize)) {
    for waited_before in [false, true] {
        loom::model(move || {
            let mut owner = Owner::default();
            let acks = Acks::default();
            let (task, waker) = Task::new();
            assert!(!waited_before || poll(&mut owner, &acks, &waker));
            let confirmations = ConfirmHandle::new(acks.pending(), owner.guard.waker());
            let peer = thread::spawn(move || confirm(&confirmations, 1));
            let is_pending = poll(&mut owner, &acks, &waker);
            peer.join().unwrap();
            let is_stranded = is_pending && !task.take_woken();
            assert!(!is_stranded, "a confirmation left a full sink waiting");
            assert!(acks.has_pending());
        });
    }
}

#[test]
fn a_confirmation_wakes_a_sink_that_was_about_to_wait_for_room() {
    check_confirmation_meets_sink(poll_room, ConfirmHandle::confirm);
    check_confirmation_meets_sink(poll_room, ConfirmHandle::confirm_replies);
}

#[test]
#[should_panic(expected = "a confirmation left a full sink waiting")]
fn control_a_sink_that_looks_before_it_registers_is_left_waiting() {
    check_confirmation_meets_sink(poll_room_unseen, ConfirmHandle::confirm);
}

/// A connection: it keeps the last waker that it was given for its reading direction.
#[derive(Default)]
struct Connection {
    has_data: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Connection {
    fn bring(&self) {
        self.has_data.store(true, Ordering::Release);
        let waker = self.waker.lock().unwrap().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll_read(&self, cx: &Context<'_>) -> Poll<()> {
        *self.waker.lock().unwrap() = Some(cx.waker().clone());
        if self.has_data.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// Polls the reading direction, if it may be ready, as the pump does. True if it found data.
fn pump(connection: &Connection, readiness: &Readiness) -> bool {
    if !readiness.read().is_ready() {
        return false;
    }
    readiness.read().clear();
    let found = connection.poll_read(&readiness.context()).is_ready();
    if found {
        readiness.read().set();
    }
    found
}

/// A fault: forgets that the direction was ready after the poll instead of before it.
fn pump_clearing_late(connection: &Connection, readiness: &Readiness) -> bool {
    let found = connection.poll_read(&readiness.context()).is_ready();
    if !found {
        readiness.read().clear();
    }
    found
}

/// Decides whether a task waits for the connection.
type Waits = fn(&mut Owner, Role, &Waker, &Readiness) -> bool;

fn waits(owner: &mut Owner, role: Role, waker: &Waker, readiness: &Readiness) -> bool {
    owner.waits(role, waker, || readiness.read().is_ready())
}

fn waits_unseen(owner: &mut Owner, role: Role, waker: &Waker, readiness: &Readiness) -> bool {
    owner.waits_unseen(role, waker, || readiness.read().is_ready())
}

fn check_arrival_meets_halves(pump: fn(&Connection, &Readiness) -> bool, waits: Waits) {
    loom::model(move || {
        let mut owner = Owner::default();
        let connection = Arc::new(Connection::default());
        let readiness = Readiness::new(owner.guard.waker());
        readiness.set();
        let (reader, read_waker) = Task::new();
        let (writer, write_waker) = Task::new();

        let remote = Arc::clone(&connection);
        let peer = thread::spawn(move || remote.bring());
        // The writer looks ahead, and then both wait; the reader finds the direction not ready.
        let found = pump(&connection, &readiness);
        let writer_waits = !found && waits(&mut owner, Role::Write, &write_waker, &readiness);
        let found = found || pump(&connection, &readiness);
        let reader_waits = !found && waits(&mut owner, Role::Read, &read_waker, &readiness);
        peer.join().unwrap();

        let is_missed = !found && !readiness.read().is_ready();
        assert!(!is_missed, "the data would not be read");
        let is_stranded = (reader_waits && !reader.take_woken())
            || (!found && writer_waits && !writer.take_woken());
        assert!(!is_stranded, "a half was stranded");
    });
}

#[test]
fn data_that_arrives_while_a_half_looks_is_found_or_wakes_both_halves() {
    check_arrival_meets_halves(pump, waits);
}

#[test]
#[should_panic(expected = "the data would not be read")]
fn control_a_direction_that_is_cleared_late_is_never_read() {
    check_arrival_meets_halves(pump_clearing_late, waits);
}

#[test]
#[should_panic(expected = "a half was stranded")]
fn control_a_half_that_looks_before_it_registers_misses_the_data() {
    check_arrival_meets_halves(pump, waits_unseen);
}
