//! Commands of handles that meet polls.

use super::*;

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
