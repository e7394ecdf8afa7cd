//! What confirmations count for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use super::messages::*;
use crate::framed::confirm::{ConfirmHandle, Confirms};
use crate::framed::send_buffer::{Resend, SendBuffer};

/// A buffer whose first connection has taken messages, and its confirmations.
struct Sender {
    buffer: SendBuffer,
    confirms: Confirms,
    confirmations: ConfirmHandle,
}

impl Sender {
    fn new(resend: Resend, sent: u16) -> Self {
        let mut buffer = connected(resend, usize::MAX);
        push_all(&mut buffer, 0..sent);
        take_all(&mut buffer);
        let confirms = Confirms::default();
        let confirmations = ConfirmHandle::new(confirms.pending(), Waker::noop().clone());
        Self {
            buffer,
            confirms,
            confirmations,
        }
    }

    /// The count includes what is pending, and applying that does not change it.
    fn unconfirmed(&mut self) -> usize {
        let pending = self.confirms.unconfirmed(&self.buffer);
        self.confirms.apply(&mut self.buffer);
        assert!(!self.confirms.has_pending());
        assert_eq!(self.confirms.unconfirmed(&self.buffer), pending);
        pending
    }

    fn confirm(&mut self, n: usize) -> usize {
        self.confirmations.confirm(n);
        self.unconfirmed()
    }

    fn confirm_replies(&mut self, n: usize) -> usize {
        self.confirmations.confirm_replies(n);
        self.unconfirmed()
    }

    /// The connection is lost, while the reader is on it or on an earlier one.
    fn lose(&mut self) {
        self.confirms.apply(&mut self.buffer);
        self.confirms.end_connection(self.buffer.written_range());
        self.buffer.end_connection(true);
    }

    fn replace(&mut self) {
        self.lose();
        self.buffer.begin_connection();
    }
}

fn sender(sent: u16) -> Sender {
    Sender::new(unconfirmed(usize::MAX), sent)
}

#[test]
fn confirmations_and_replies_confirm_the_oldest_messages() {
    let mut sender = sender(5);
    assert_eq!(sender.unconfirmed(), 5);
    assert_eq!(sender.confirm(1), 4);
    assert_eq!(sender.confirm(2), 2);
    sender.replace();
    assert_eq!(take_all(&mut sender.buffer), [3, 4]);

    let mut sender = super::confirms::sender(5);
    assert_eq!(sender.confirm_replies(1), 4);
    assert_eq!(sender.confirm_replies(2), 2);
    sender.replace();
    assert_eq!(take_all(&mut sender.buffer), [3, 4]);
}

#[test]
fn pending_confirmations_count_immediately_and_together() {
    let sender = sender(5);
    sender.confirmations.confirm(1);
    sender.confirmations.clone().confirm(2);
    assert!(sender.confirms.has_pending());
    assert_eq!(sender.confirms.unconfirmed(&sender.buffer), 2);
    let sender = super::confirms::sender(5);
    sender.confirmations.confirm_replies(1);
    sender.confirmations.clone().confirm_replies(2);
    assert!(sender.confirms.has_pending());
    assert_eq!(sender.confirms.unconfirmed(&sender.buffer), 2);
}

#[test]
fn more_confirmations_than_messages_confirm_all_of_those_and_nothing_later() {
    for count in [Sender::confirm, Sender::confirm_replies] {
        for n in [4, 7, usize::MAX] {
            let mut sender = sender(3);
            push_all(&mut sender.buffer, 3..4);
            take(&mut sender.buffer, 9);
            assert_eq!(count(&mut sender, n), 1, "one is not fully written");
            take(&mut sender.buffer, 1);
            assert_eq!(sender.unconfirmed(), 1, "it was written later");
            assert_eq!(count(&mut sender, 1), 0);
        }
    }
}

#[test]
fn pending_counts_saturate() {
    let mut sender = sender(3);
    for _ in 0..2 {
        sender.confirmations.confirm(usize::MAX);
        sender.confirmations.confirm_replies(usize::MAX);
    }
    assert_eq!(sender.unconfirmed(), 0);
}

#[test]
fn a_reply_confirms_what_a_confirmation_has_confirmed_already() {
    let mut sender = sender(4);
    assert_eq!(sender.confirm(2), 2);
    assert_eq!(sender.confirm_replies(1), 2);
    assert_eq!(sender.confirm_replies(1), 2);
    assert_eq!(sender.confirm_replies(1), 1);
    assert_eq!(sender.confirm(1), 0);
}

#[test]
fn a_confirmation_comes_on_top_of_replies() {
    let mut sender = sender(4);
    assert_eq!(sender.confirm_replies(2), 2);
    assert_eq!(sender.confirm(1), 1);
    assert_eq!(sender.confirm_replies(1), 1);
    assert_eq!(sender.confirm_replies(1), 0);
}

#[test]
fn of_confirmations_and_replies_together_the_further_one_counts() {
    let sender = sender(4);
    sender.confirmations.confirm(1);
    sender.confirmations.confirm_replies(3);
    assert_eq!(sender.confirms.unconfirmed(&sender.buffer), 1);
    let sender = super::confirms::sender(4);
    sender.confirmations.confirm(3);
    sender.confirmations.confirm_replies(1);
    assert_eq!(sender.confirms.unconfirmed(&sender.buffer), 1);
}

#[test]
fn the_replies_of_each_connection_count_from_the_first_message_that_was_written_to_it() {
    let mut sender = sender(3);
    assert_eq!(sender.confirm_replies(1), 2);
    sender.replace();
    assert_eq!(take_all(&mut sender.buffer), [1, 2]);
    sender.confirms.move_to(None, &mut sender.buffer);
    assert_eq!(sender.confirm_replies(1), 1);
    assert_eq!(sender.confirm_replies(1), 0);
}

#[test]
fn replies_of_a_past_connection_count_for_it_also_when_the_next_one_has_begun() {
    let mut sender = sender(3);
    sender.replace();
    // Everything is written to the next connection again.
    take(&mut sender.buffer, 1);
    assert_eq!(sender.confirm_replies(2), 1);
    assert_eq!(sender.confirm_replies(7), 0);
    sender.confirms.move_to(None, &mut sender.buffer);
    push_all(&mut sender.buffer, 3..4);
    take(&mut sender.buffer, 39);
    // Its first three replies are for messages that are confirmed.
    for (n, left) in [(1, 1), (2, 1), (1, 0)] {
        assert_eq!(sender.confirm_replies(n), left);
    }
}

#[test]
fn late_replies_spare_the_next_connection_the_messages() {
    let mut sender = sender(3);
    sender.lose();
    assert_eq!(sender.confirm_replies(2), 1);
    sender.buffer.begin_connection();
    assert_eq!(take_all(&mut sender.buffer), [2]);
    sender.confirms.move_to(None, &mut sender.buffer);
    assert_eq!(sender.confirm_replies(1), 0);
}

#[test]
fn an_ended_connection_does_not_answer_what_was_written_only_to_a_later_one() {
    let mut sender = sender(2);
    sender.replace();
    push_all(&mut sender.buffer, 2..4);
    take_all(&mut sender.buffer);
    assert_eq!(sender.confirm_replies(4), 2);
}

#[test]
fn a_reader_that_is_behind_stays_on_its_connection_through_further_losses() {
    let mut sender = sender(2);
    sender.replace();
    let first = range(0, 2);
    push_all(&mut sender.buffer, 2..4);
    assert_eq!(take_all(&mut sender.buffer), [0, 1, 2, 3]);
    let second = sender.buffer.written_range();
    sender.replace();
    assert_eq!((first, second), (range(0, 2), range(0, 4)));
    assert_eq!(sender.confirm_replies(3), 2, "the first connection had two");
    sender.confirms.move_to(Some(second), &mut sender.buffer);
    assert_eq!(sender.confirm_replies(3), 1);
    sender.confirms.move_to(None, &mut sender.buffer);
    assert_eq!(
        sender.confirm_replies(3),
        1,
        "nothing was written to the third"
    );
}

#[test]
fn pending_replies_belong_to_the_connection_that_the_reader_leaves() {
    let mut sender = sender(3);
    sender.replace();
    assert_eq!(take_all(&mut sender.buffer), [0, 1, 2]);
    sender.confirmations.confirm_replies(1);
    sender.confirms.move_to(None, &mut sender.buffer);
    assert_eq!(sender.unconfirmed(), 2);
    sender.confirmations.confirm_replies(1);
    assert_eq!(sender.unconfirmed(), 2, "the same message again");
}

#[test]
fn with_torn_nothing_is_left_to_confirm() {
    let mut sender = Sender::new(Resend::Torn, 3);
    push_all(&mut sender.buffer, 3..5);
    assert_eq!(sender.unconfirmed(), 2, "not fully written");
    assert_eq!(sender.confirm(7), 2);
    assert_eq!(sender.confirm_replies(7), 2);
    assert_eq!(take_all(&mut sender.buffer), [3, 4]);
    assert_eq!(sender.unconfirmed(), 0);
}

/// Counts how often it was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn every_confirmation_wakes_the_tasks_that_may_wait_for_it() {
    let wakes = Arc::new(Wakes::default());
    let confirms = Confirms::default();
    let confirmations = ConfirmHandle::new(confirms.pending(), Waker::from(Arc::clone(&wakes)));
    confirmations.confirm(1);
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    confirmations.confirm_replies(1);
    assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
}
