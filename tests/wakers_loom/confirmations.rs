//! A confirmation that comes while a sink begins to wait for room.

use super::*;
use crate::confirm::{ConfirmHandle, Confirms};

/// How a sender that is full decides whether it waits.
type FullSink = fn(&mut Owner, &Confirms, &Waker) -> bool;

fn poll_room(owner: &mut Owner, confirms: &Confirms, waker: &Waker) -> bool {
    owner.waits(Role::Write, waker, || confirms.has_pending())
}

fn poll_room_unseen(owner: &mut Owner, confirms: &Confirms, waker: &Waker) -> bool {
    owner.waits_unseen(Role::Write, waker, || confirms.has_pending())
}

fn check_confirmation_meets_sink(poll: FullSink, confirm: fn(&ConfirmHandle, usize)) {
    for waited_before in [false, true] {
        loom::model(move || {
            let mut owner = Owner::default();
            let confirms = Confirms::default();
            let (task, waker) = Task::new();
            assert!(!waited_before || poll(&mut owner, &confirms, &waker));
            let confirmations = ConfirmHandle::new(confirms.pending(), owner.guard.waker());
            let peer = thread::spawn(move || confirm(&confirmations, 1));
            let is_pending = poll(&mut owner, &confirms, &waker);
            peer.join().unwrap();
            let is_stranded = is_pending && !task.take_woken();
            assert!(!is_stranded, "a confirmation left a full sink waiting");
            assert!(confirms.has_pending());
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
fn control_a_sink_that_checks_before_it_registers_is_left_waiting() {
    check_confirmation_meets_sink(poll_room_unseen, ConfirmHandle::confirm);
}
