//! Unit tests of `shared.rs`, which `tests/wakers_loom.rs` compiles a second time.

mod waiting;

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::task::Waker;

use super::commands::Command;
use super::shared::{
    CHANGED, COMMANDS, Flags, IDLE, READ_LOSS, Registrations, Role, SHUT_DOWN, SHUTTING_DOWN,
    Shared, SharedGuard, WRITE_LOSS, WRITER_WAITS,
};
use super::state::State;
use super::test_task::Task;

const ROLES: [Role; 3] = [Role::Read, Role::Write, Role::Connect];

/// An error whose drop marks another connection lost.
#[derive(Debug)]
struct MarksAnother(Arc<Shared>);

impl std::fmt::Display for MarksAnother {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("marks another")
    }
}

impl std::error::Error for MarksAnother {}

impl Drop for MarksAnother {
    fn drop(&mut self) {
        self.0.command(Command::Lose(3, ErrorKind::TimedOut.into()));
    }
}

#[test]
fn an_error_that_is_dropped_may_use_its_handle() {
    let shared = Arc::new(Shared::default());
    let marks = |generation| {
        let cause = io::Error::other(MarksAnother(Arc::clone(&shared)));
        shared.command(Command::Lose(generation, cause));
    };
    // The second one replaces the first, whose drop marks the third in place of the second.
    marks(1);
    marks(2);
    assert!(matches!(shared.take_command(), Some(Command::Lose(3, _))));
    assert!(shared.take_command().is_none());
}

/// A link's share, and one task for each role.
struct Link {
    guard: SharedGuard,
    registrations: Registrations,
    tasks: [(Arc<Task>, Waker); 3],
}

impl Link {
    fn new() -> Self {
        Self {
            guard: SharedGuard::default(),
            registrations: Registrations::default(),
            tasks: std::array::from_fn(|_| Task::new()),
        }
    }

    /// A link whose roles all wait.
    fn waiting() -> Self {
        let mut link = Self::new();
        for role in ROLES {
            assert!(link.waits(role));
        }
        link
    }

    /// Returns whether a role waits that finds nothing to do.
    fn waits(&mut self, role: Role) -> bool {
        self.waits_unless(role, || false)
    }

    fn waits_unless(&mut self, role: Role, has_work: impl FnOnce() -> bool) -> bool {
        let waker = &self.tasks[role as usize].1;
        !self
            .registrations
            .register_and_check(&self.guard, role, waker, has_work)
    }

    fn is_waiting(&self, role: Role) -> bool {
        let waker = &self.tasks[role as usize].1;
        self.registrations.is_registered(&self.guard, role, waker)
    }

    fn wakes(&self) -> [usize; 3] {
        [0, 1, 2].map(|role| self.tasks[role].0.wakes())
    }

    /// Returns how many clones of each task's waker exist, beside the tasks' own.
    fn clones(&self) -> [usize; 3] {
        [0, 1, 2].map(|role| Arc::strong_count(&self.tasks[role].0) - 2)
    }
}

fn lose(generation: u64) -> Command {
    Command::Lose(generation, ErrorKind::TimedOut.into())
}

fn taken(shared: &Shared) -> Option<String> {
    shared.take_command().map(|command| match command {
        Command::Close => "close".to_owned(),
        Command::Reconnect => "reconnect".to_owned(),
        Command::Lose(generation, cause) => format!("lose {generation}: {:?}", cause.kind()),
    })
}

#[test]
fn flags_are_set_and_cleared_one_by_one() {
    let all = [
        COMMANDS,
        READ_LOSS,
        WRITE_LOSS,
        CHANGED,
        IDLE,
        SHUTTING_DOWN,
        SHUT_DOWN,
        WRITER_WAITS,
    ];
    let flags = Flags::default();
    for flag in all {
        assert!(!flags.any(flag), "no two share a bit");
        flags.set(flag);
        assert!(flags.any(flag));
    }
    assert_eq!(flags.clear(CHANGED | IDLE), CHANGED | IDLE);
    assert_eq!(flags.clear(CHANGED | READ_LOSS), READ_LOSS);
    assert_eq!(flags.clear(CHANGED), 0);
    assert!(flags.any(CHANGED | WRITE_LOSS));
}

#[test]
fn a_command_is_taken_once_and_wakes_every_role() {
    for (command, text) in [
        (Command::Close, "close"),
        (Command::Reconnect, "reconnect"),
        (lose(3), "lose 3: TimedOut"),
    ] {
        let link = Link::waiting();
        assert_eq!(taken(&link.guard), None);
        link.guard.command(command);
        assert!(link.guard.flags.any(COMMANDS));
        assert_eq!(link.wakes(), [1, 1, 1]);
        assert_eq!(taken(&link.guard).as_deref(), Some(text));
        assert!(!link.guard.flags.any(COMMANDS));
        assert_eq!(taken(&link.guard), None);
    }
}

#[test]
fn of_several_commands_the_furthest_reaching_one_is_taken_in_any_order() {
    let commands: [fn() -> Command; 3] = [|| lose(1), || Command::Reconnect, || Command::Close];
    for (first, second, expected) in [
        (0, 1, "reconnect"),
        (1, 0, "reconnect"),
        (0, 2, "close"),
        (2, 0, "close"),
        (1, 2, "close"),
        (2, 1, "close"),
    ] {
        let shared = Shared::default();
        shared.command(commands[first]());
        shared.command(commands[second]());
        assert_eq!(taken(&shared).as_deref(), Some(expected));
        assert_eq!(taken(&shared), None, "it replaces the other one");
    }
}

#[test]
fn of_several_losses_of_a_connection_the_first_cause_counts() {
    let shared = Shared::default();
    shared.command(lose(1));
    shared.command(Command::Lose(1, io::Error::other("later")));
    assert_eq!(taken(&shared).as_deref(), Some("lose 1: TimedOut"));
    assert_eq!(taken(&shared), None);
    shared.command(Command::Lose(2, io::Error::other("after that")));
    assert_eq!(taken(&shared).as_deref(), Some("lose 2: Other"));
}

#[test]
fn of_the_losses_of_two_connections_the_newer_one_is_taken() {
    for (first, second) in [(1, 2), (2, 1)] {
        let shared = Shared::default();
        shared.command(lose(first));
        shared.command(lose(second));
        assert_eq!(taken(&shared).as_deref(), Some("lose 2: TimedOut"));
        assert_eq!(taken(&shared), None);
    }
}

#[test]
fn a_cause_that_a_reconnect_has_replaced_does_not_come_back() {
    let shared = Shared::default();
    shared.command(lose(1));
    shared.command(Command::Reconnect);
    assert_eq!(taken(&shared).as_deref(), Some("reconnect"));
    shared.command(lose(2));
    assert_eq!(taken(&shared).as_deref(), Some("lose 2: TimedOut"));
}

#[test]
fn a_state_is_published_to_the_handles_that_there_are() {
    let shared = Shared::default();
    shared.publish(State::GaveUp, &[]);
    let watch = shared.watch(|| State::Connecting { attempt: 2 });
    assert_eq!(*watch.borrow(), State::Connecting { attempt: 2 });
    let receiver = watch.subscribe();
    shared.publish(State::GaveUp, &[]);
    assert_eq!(*receiver.borrow(), State::GaveUp);
    let again = shared.watch(|| unreachable!("it is made once"));
    assert_eq!(*again.borrow(), State::GaveUp);
}

#[test]
fn a_link_that_is_dropped_is_closed_for_its_handles_and_wakes_no_task() {
    let link = Link::waiting();
    let shared = link.guard.share();
    let receiver = shared.watch(|| State::GaveUp).subscribe();
    let Link { guard, tasks, .. } = link;
    drop(guard);
    assert_eq!(*receiver.borrow(), State::Closed);
    for (task, _) in &tasks {
        assert_eq!((task.wakes(), Arc::strong_count(task)), (0, 2));
    }
    shared.wake_all();
    assert!(tasks.iter().all(|(task, _)| task.wakes() == 0));
}
