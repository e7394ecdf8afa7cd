//! Which tasks are registered, and which are woken.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Wake, Waker};

use super::{Link, ROLES, Task};
use crate::link::shared::WRITER_WAITS;
use crate::link::{Command, Role};

#[test]
fn the_tasks_of_all_other_roles_are_woken_once() {
    for polling in ROLES {
        let link = Link::waiting();
        link.guard.wake_all_but(Some(polling));
        link.guard.wake_all_but(Some(polling));
        let expected = ROLES.map(|role| usize::from(role != polling));
        assert_eq!(link.wakes(), expected);
        // It stays registered.
        link.guard.wake_all();
        assert_eq!(link.wakes(), [1, 1, 1]);
    }
}

#[test]
fn the_waker_of_timers_and_connections_wakes_every_role() {
    let link = Link::waiting();
    let waker = link.guard.waker();
    waker.wake_by_ref();
    assert_eq!(link.wakes(), [1, 1, 1]);
    waker.wake();
    assert_eq!(link.wakes(), [1, 1, 1], "none waits any more");
}

#[test]
fn a_role_that_does_not_wait_any_more_is_not_woken() {
    for role in ROLES {
        let link = Link::waiting();
        link.guard.deregister(role);
        link.guard.deregister(role);
        assert_eq!(link.clones()[role as usize], 0);
        link.guard.wake_all();
        let expected = ROLES.map(|other| usize::from(other != role));
        assert_eq!(link.wakes(), expected);
    }
}

#[test]
fn only_the_last_task_of_a_role_is_woken() {
    for role in ROLES {
        let mut link = Link::waiting();
        let before = std::mem::replace(&mut link.tasks[role as usize], Task::new());
        assert!(link.waits(role));
        assert_eq!(Arc::strong_count(&before.0), 2, "its waker is dropped");
        link.guard.wake_all();
        assert_eq!((before.0.wakes(), link.wakes()), (0, [1, 1, 1]));
    }
}

#[test]
fn a_task_that_polls_again_is_registered_once() {
    let mut link = Link::waiting();
    for role in ROLES {
        assert!(link.waits(role));
    }
    assert_eq!(link.clones(), [1, 1, 1]);
    link.guard.wake_all();
    assert_eq!(link.clones(), [0, 0, 0]);
    // After a wake-up it has to be registered again, though its waker is the same.
    for role in ROLES {
        assert!(link.waits(role));
    }
    link.guard.wake_all();
    assert_eq!(link.wakes(), [2, 2, 2]);
}

#[test]
fn a_half_is_waiting_while_its_own_waker_is_registered_and_no_command_is_pending() {
    for role in [Role::Read, Role::Write] {
        let mut link = Link::new();
        assert!(!link.is_waiting(role), "it was never registered");
        assert!(link.waits(role) && link.is_waiting(role));
        let waker = std::mem::replace(&mut link.tasks[role as usize], Task::new());
        assert!(!link.is_waiting(role), "another task polls");
        link.tasks[role as usize] = waker;
        link.guard.command(Command::Reconnect);
        assert!(!link.is_waiting(role), "it was woken");
        assert!(
            !link.waits(role) && !link.is_waiting(role),
            "there is a command"
        );
        link.guard.take_command();
        assert!(link.is_waiting(role));
        link.guard.deregister(role);
        assert!(!link.is_waiting(role));
    }
}

#[test]
fn a_task_whose_condition_is_met_does_not_wait() {
    for role in ROLES {
        let mut link = Link::new();
        for _ in 0..2 {
            assert!(!link.waits_unless(role, || true));
            assert_eq!(link.clones()[role as usize], 1, "it may wait all the same");
        }
        for _ in 0..2 {
            assert!(link.waits(role));
            link.guard.command(Command::Reconnect);
            assert!(!link.waits(role));
            assert!(!link.waits(role), "the command is not taken");
            link.guard.take_command();
        }
    }
}

#[test]
fn a_task_checks_its_condition_after_it_has_registered() {
    for role in ROLES {
        let mut link = Link::new();
        let shared = link.guard.share();
        // What changes during the check wakes the task.
        assert!(link.waits_unless(role, || {
            shared.wake_all();
            false
        }));
        assert_eq!(link.wakes()[role as usize], 1);
    }
}

#[test]
fn the_writer_has_a_flag_while_it_waits() {
    let mut link = Link::new();
    assert!(link.waits(Role::Read) && link.waits(Role::Connect));
    assert!(!link.guard.flags.any(WRITER_WAITS));
    assert!(link.waits(Role::Write));
    assert!(link.guard.flags.any(WRITER_WAITS));
    link.guard.wake_all_but(Some(Role::Write));
    assert!(link.guard.flags.any(WRITER_WAITS));
    link.guard.wake_all();
    assert!(!link.guard.flags.any(WRITER_WAITS));
}

/// A task whose executor panics.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("of a waker, as the test wants it");
    }
}

#[test]
fn a_waker_that_panics_leaves_no_other_task_waiting() {
    let panics = Waker::from(Arc::new(Panics));
    for faulty in [&ROLES[..1], &ROLES[1..2], &ROLES[2..], &ROLES[..2], &ROLES] {
        let mut link = Link::waiting();
        for &role in faulty {
            let (shared, registrations) = (&link.guard, &mut link.registrations);
            assert!(!registrations.register_and_check(shared, role, &panics, || false));
        }
        let woken = catch_unwind(AssertUnwindSafe(|| link.guard.wake_all()));
        assert!(woken.is_err(), "the panic is not hidden");
        let expected = ROLES.map(|role| usize::from(!faulty.contains(&role)));
        assert_eq!(link.wakes(), expected);
    }
}
