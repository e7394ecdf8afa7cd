//! Model-checked: what the owner of a link shares with handles, timers and attempts, and a sink
//! with those who confirm and with its connection, in every order in which threads can come to
//! it. No wake-up and no command is ever lost.
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
    pub(super) use loom::sync::Mutex;
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
}

#[path = "../src/link/wakers.rs"]
mod wakers;

#[allow(dead_code)]
#[path = "../src/link/control.rs"]
mod control;

#[allow(dead_code, unreachable_pub)]
#[path = "../src/framed/confirm.rs"]
mod confirm;

#[allow(dead_code)]
#[path = "../src/framed/lookout.rs"]
mod lookout;

use confirm::{Confirmations, Pending};
use control::{Command, Owner, Shared};
use lookout::Lookout;
use sync::{Mutex, Ordering};
use wakers::{Role, Wakers};

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

/// One poll of a half that finds its connection without anything to read: whether it says
/// `Pending`.
type HalfPoll = fn(&Shared, Role, &Waker) -> bool;

/// As `Link::poll_wait`: remember, then look.
fn poll_wait(shared: &Shared, role: Role, waker: &Waker) -> bool {
    shared.wakers.remember(role, waker);
    !shared.signals.has_command()
}

/// The ready path before it: look, use the connection, and only then wait.
fn poll_live_then_wait(shared: &Shared, role: Role, waker: &Waker) -> bool {
    shared.signals.are_quiet(role) && poll_wait(shared, role, waker)
}

/// As `Link::poll_connected`: remember, then obey.
fn poll_connected(shared: &Shared, role: Role, waker: &Waker) -> bool {
    shared.wakers.remember(role, waker);
    shared.signals.take_command().is_none()
}

/// As `Link::poll_connected` when it goes on by itself: forget, make the change, begin anew.
fn poll_that_goes_on(shared: &Shared, role: Role, waker: &Waker) -> bool {
    let is_pending = poll_connected(shared, role, waker);
    shared.wakers.forget(role);
    is_pending && poll_connected(shared, role, waker)
}

/// A fault: forgets, and waits all the same.
fn poll_then_forget(shared: &Shared, role: Role, waker: &Waker) -> bool {
    let is_pending = poll_connected(shared, role, waker);
    shared.wakers.forget(role);
    is_pending
}

/// A fault: looks first, and waits for what has come already.
fn poll_look_then_remember(shared: &Shared, role: Role, waker: &Waker) -> bool {
    let is_pending = !shared.signals.has_command();
    shared.wakers.remember(role, waker);
    is_pending
}

fn check_command_meets_poll(poll: HalfPoll, command: Command) {
    for role in [Role::Read, Role::Write, Role::Watch] {
        for waited_before in [false, true] {
            loom::model(move || {
                let owner = Owner::default();
                let (task, waker) = Task::new();
                assert!(!waited_before || poll(&owner, role, &waker));

                let remote = owner.share();
                let handle = thread::spawn(move || remote.command(command));
                let is_pending = poll(&owner, role, &waker);
                handle.join().unwrap();
                let is_stranded = is_pending && !task.take_woken();
                assert!(!is_stranded, "a command left a half waiting");
                let is_told = !is_pending || !poll(&owner, role, &waker);
                assert!(is_told, "a woken half found no command");
            });
        }
    }
}

#[test]
fn a_command_wakes_a_half_that_was_about_to_wait() {
    let polls: [HalfPoll; 4] = [
        poll_wait,
        poll_live_then_wait,
        poll_connected,
        poll_that_goes_on,
    ];
    for poll in polls {
        check_command_meets_poll(poll, Command::Reconnect);
        check_command_meets_poll(poll, Command::Close);
    }
}

#[test]
#[should_panic(expected = "a command left a half waiting")]
fn control_a_half_that_looks_before_it_is_remembered_is_left_waiting() {
    check_command_meets_poll(poll_look_then_remember, Command::Reconnect);
}

#[test]
#[should_panic(expected = "a command left a half waiting")]
fn control_a_half_that_forgets_itself_and_waits_is_left_waiting() {
    check_command_meets_poll(poll_then_forget, Command::Reconnect);
}

/// A timer or an attempt that fires on a thread of its own.
#[derive(Default)]
struct Timer {
    is_over: AtomicBool,
    wakers: Wakers,
    /// A fault, the one that every peer has: the last one to poll is the only one remembered.
    has_single_slot: bool,
}

impl Timer {
    fn new(has_single_slot: bool) -> Arc<Self> {
        Arc::new(Self {
            has_single_slot,
            ..Self::default()
        })
    }

    fn fire(&self) {
        self.is_over.store(true, Ordering::Release);
        self.wakers.wake_all();
    }

    /// Whether the half says `Pending`.
    fn poll(&self, role: Role, waker: &Waker) -> bool {
        let slot = if self.has_single_slot {
            Role::Read
        } else {
            role
        };
        self.wakers.remember(slot, waker);
        !self.is_over.load(Ordering::Acquire)
    }
}

fn check_timer_meets_halves(has_single_slot: bool) {
    loom::model(move || {
        let timer = Timer::new(has_single_slot);
        let (_left, first) = Task::new();
        let (moved, second) = Task::new();
        let (writer, other) = Task::new();
        let reads = timer.poll(Role::Read, &first);
        let writes = timer.poll(Role::Write, &other);
        assert!(reads && writes, "nothing has happened yet");

        let remote = Arc::clone(&timer);
        let clock = thread::spawn(move || remote.fire());
        // The reader has moved to another task, and is polled by it.
        let moved_waits = timer.poll(Role::Read, &second);
        clock.join().unwrap();

        assert!(writer.take_woken(), "the other half was not woken");
        assert!(
            !moved_waits || moved.take_woken(),
            "a half that registered anew was not woken"
        );
    });
}

#[test]
fn a_timer_wakes_every_half_whichever_waker_it_left_last() {
    check_timer_meets_halves(false);
}

#[test]
#[should_panic(expected = "the other half was not woken")]
fn control_a_single_slot_strands_the_other_half() {
    check_timer_meets_halves(true);
}

#[test]
fn the_last_waker_wins_while_two_threads_wake() {
    loom::model(|| {
        let owner = Owner::default();
        let (reader, waker) = Task::new();
        owner.wakers.remember(Role::Read, &waker);
        let threads = [owner.waker(), owner.waker()].map(|waker| thread::spawn(|| waker.wake()));
        let (writer, waker) = Task::new();
        owner.wakers.remember(Role::Write, &waker);
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(reader.take_woken());

        owner.wakers.wake_all();
        assert!(writer.take_woken(), "by the others, or by this");
    });
}

fn check_halves_on_two_threads(has_single_slot: bool) {
    loom::model(move || {
        let timer = Timer::new(has_single_slot);
        let halves = [Role::Read, Role::Write].map(|role| {
            let timer = Arc::clone(&timer);
            thread::spawn(move || {
                let (task, waker) = Task::new();
                (timer.poll(role, &waker), task)
            })
        });
        timer.fire();
        for half in halves {
            let (is_pending, task) = half.join().unwrap();
            assert!(!is_pending || task.take_woken(), "a half was stranded");
        }
    });
}

#[test]
fn a_timer_wakes_both_halves_of_a_split_stream() {
    check_halves_on_two_threads(false);
}

#[test]
#[should_panic(expected = "a half was stranded")]
fn control_a_single_slot_strands_a_half_of_a_split_stream() {
    check_halves_on_two_threads(true);
}

#[test]
fn two_handles_at_once_lose_no_command_and_closing_wins() {
    loom::model(|| {
        let owner = Owner::default();
        let has_begun = Arc::new(AtomicBool::new(false));
        let (one, other, begins) = (owner.share(), owner.share(), Arc::clone(&has_begun));
        let closes = thread::spawn(move || one.command(Command::Close));
        let reconnects = thread::spawn(move || {
            begins.store(true, Ordering::SeqCst);
            other.command(Command::Reconnect);
        });
        let early = owner.signals.take_command();
        let has_begun = has_begun.load(Ordering::SeqCst);
        closes.join().unwrap();
        reconnects.join().unwrap();
        let seen = (early, owner.signals.take_command());
        let is_complete = match seen {
            (None | Some(Command::Reconnect), Some(Command::Close))
            | (Some(Command::Close), Some(Command::Reconnect)) => true,
            // Closing won over a reconnect that was there already.
            (Some(Command::Close), None) => has_begun,
            _ => false,
        };
        assert!(is_complete, "a command was lost: {seen:?}");
        assert!(!owner.signals.has_command(), "a command came twice");
    });
}

#[test]
fn what_the_owner_says_is_neither_lost_nor_resurrected_by_a_command() {
    loom::model(|| {
        let owner = Owner::default();
        let remote = owner.share();
        let handle = thread::spawn(move || remote.command(Command::Close));
        let signals = &owner.signals;
        signals.raise_news();
        assert!(signals.take_news(Role::Read) && !signals.take_news(Role::Read));
        signals.start_idling();
        assert!(signals.is_idling() && !signals.is_finishing());
        signals.stop_idling();
        signals.start_finishing();
        assert!(!signals.is_idling() && signals.is_finishing());
        handle.join().unwrap();
        assert!(!signals.take_news(Role::Read) && signals.take_news(Role::Write));
        assert!(!signals.is_idling() && signals.is_finishing() && !signals.is_finished());
        assert_eq!(signals.take_command(), Some(Command::Close));
    });
}

#[test]
fn a_link_that_is_dropped_keeps_no_waker_and_a_late_command_finds_nobody() {
    loom::model(|| {
        let owner = Owner::default();
        let remote = owner.share();
        let (task, waker) = Task::new();
        owner.wakers.remember(Role::Read, &waker);
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

/// A sink that is full: whether it says `Pending`.
type FullSink = fn(&Shared, &Pending, &Waker) -> bool;

/// As `ReconnectingFramed::poll_room_of`: remember, then look.
fn poll_room(shared: &Shared, pending: &Pending, waker: &Waker) -> bool {
    shared.wakers.remember(Role::Write, waker);
    pending.is_empty()
}

/// A fault: looks first.
fn poll_room_too_early(shared: &Shared, pending: &Pending, waker: &Waker) -> bool {
    let is_pending = pending.is_empty();
    shared.wakers.remember(Role::Write, waker);
    is_pending
}

fn check_confirmation_meets_sink(poll: FullSink, confirm: fn(&Confirmations, usize)) {
    loom::model(move || {
        let owner = Owner::default();
        let pending = Arc::new(Pending::default());
        let (task, waker) = Task::new();
        let confirmations = Confirmations::new(Arc::clone(&pending), owner.waker());
        let peer = thread::spawn(move || confirm(&confirmations, 1));
        let is_pending = poll(&owner, &pending, &waker);
        peer.join().unwrap();
        let is_stranded = is_pending && !task.take_woken();
        assert!(!is_stranded, "a confirmation left a full sink waiting");
        let confirmed = pending.messages().take() + pending.answers().take();
        assert_eq!(confirmed, 1);
    });
}

#[test]
fn a_confirmation_wakes_a_sink_that_was_about_to_wait_for_room() {
    check_confirmation_meets_sink(poll_room, Confirmations::confirm);
    check_confirmation_meets_sink(poll_room, Confirmations::answered);
}

#[test]
#[should_panic(expected = "a confirmation left a full sink waiting")]
fn control_a_sink_that_looks_before_it_is_remembered_is_left_waiting() {
    check_confirmation_meets_sink(poll_room_too_early, Confirmations::confirm);
}

/// A connection: it remembers the last waker it was given.
#[derive(Default)]
struct Connection {
    has_brought: AtomicBool,
    waker: Mutex<Option<Waker>>,
    /// A fault, of the connection: it takes the waker before it brings anything.
    wakes_too_early: bool,
}

impl Connection {
    fn bring(&self) {
        if !self.wakes_too_early {
            self.has_brought.store(true, Ordering::Release);
        }
        let waker = self.waker.lock().unwrap().take();
        if let Some(waker) = waker {
            waker.wake();
        }
        self.has_brought.store(true, Ordering::Release);
    }

    fn poll_read(&self, cx: &Context<'_>) -> Poll<()> {
        *self.waker.lock().unwrap() = Some(cx.waker().clone());
        if self.has_brought.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

fn check_arrival_meets_look(wakes_too_early: bool) {
    loom::model(move || {
        let owner = Owner::default();
        let connection = Arc::new(Connection {
            wakes_too_early,
            ..Connection::default()
        });
        let lookout = Lookout::new(owner.waker());
        let (reader, waker) = Task::new();
        owner.wakers.remember(Role::Read, &waker);

        let remote = Arc::clone(&connection);
        let peer = thread::spawn(move || remote.bring());
        let has_found = lookout.look(|cx| connection.poll_read(cx)).is_ready();
        peer.join().unwrap();

        let is_spared = !has_found && lookout.is_quiet();
        assert!(!is_spared, "the next look would be spared");
        assert!(has_found || reader.take_woken(), "a reader was stranded");
    });
}

#[test]
fn what_comes_while_a_sink_looks_is_found_or_wakes_the_reader_and_the_next_look() {
    check_arrival_meets_look(false);
}

#[test]
#[should_panic(expected = "the next look would be spared")]
fn control_what_comes_unsaid_is_overlooked() {
    check_arrival_meets_look(true);
}
