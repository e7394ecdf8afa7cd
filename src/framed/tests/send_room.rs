//! When a `SendBuffer` has room, what it drops, and when it is flushed.

use super::messages::*;
use crate::framed::send_buffer::{Durability, Resend, SendBuffer};

#[test]
fn a_transient_message_needs_no_confirmation_and_takes_no_room_in_the_window() {
    let mut buffer = connected(unconfirmed(10), 1000);
    push(&mut buffer, Durability::Transient, 0, 50);
    assert!(buffer.has_room(Durability::Durable));
    push(&mut buffer, Durability::Durable, 1, 10);
    assert!(!buffer.has_room(Durability::Durable));
    assert!(buffer.has_room(Durability::Transient));
    take_all(&mut buffer);
    assert!(!buffer.has_room(Durability::Durable));
    buffer.confirm_up_to(1);
    assert!(buffer.has_room(Durability::Durable));
    assert_eq!(buffer.sent_seq(), 1, "a transient one has no number");
}

#[test]
fn the_window_is_full_until_a_confirmation_comes() {
    let mut buffer = connected(unconfirmed(25), 1000);
    for number in 0..3 {
        assert!(buffer.has_room(Durability::Durable));
        push(&mut buffer, Durability::Durable, number, 10);
    }
    assert!(!buffer.has_room(Durability::Durable));
    take_all(&mut buffer);
    assert!(!buffer.has_room(Durability::Durable));
    replace_connection(&mut buffer);
    assert!(!buffer.has_room(Durability::Durable));
    buffer.confirm_up_to(1);
    assert!(buffer.has_room(Durability::Durable));
}

#[test]
fn the_queue_is_full_until_bytes_are_written() {
    for resend in [Resend::Torn, unconfirmed(1000)] {
        let mut buffer = connected(resend, 10);
        push_all(&mut buffer, 0..1);
        for kind in [Durability::Durable, Durability::Transient] {
            assert!(!buffer.has_room(kind));
        }
        take(&mut buffer, 1);
        for kind in [Durability::Durable, Durability::Transient] {
            assert!(buffer.has_room(kind));
        }
        // A loss brings the message back.
        buffer.end_connection(true);
        assert!(!buffer.has_room(Durability::Durable));
    }
}

#[test]
fn limits_of_zero_leave_room_for_one_message() {
    for resend in [Resend::Torn, unconfirmed(0)] {
        let mut buffer = connected(resend, 0);
        assert!(buffer.has_room(Durability::Durable));
        push_all(&mut buffer, 0..1);
        assert!(!buffer.has_room(Durability::Durable));
        take_all(&mut buffer);
        buffer.confirm_up_to(1);
        assert!(buffer.has_room(Durability::Durable));
    }
}

#[test]
fn messages_without_bytes_are_complete_and_take_no_memory() {
    for resend in [Resend::Torn, unconfirmed(1000)] {
        let mut buffer = connected(resend, 1000);
        for number in 0..1000 {
            push(&mut buffer, Durability::Durable, number, 0);
            push(&mut buffer, Durability::Transient, number, 0);
        }
        // Nothing waits.
        assert!(buffer.is_flushed());
        assert_eq!(buffer.unconfirmed(buffer.confirmed_seq()), 0);
    }
}

#[test]
fn messages_without_bytes_do_not_count_as_written() {
    let mut buffer = connected(unconfirmed(1000), 1000);
    push_all(&mut buffer, 0..1);
    push(&mut buffer, Durability::Durable, 1, 0);
    push_all(&mut buffer, 2..3);
    take(&mut buffer, 10);
    assert_eq!(buffer.written_range(), range(0, 1));
    take(&mut buffer, 10);
    assert_eq!(buffer.written_range(), range(0, 2));
}

#[test]
fn a_send_buffer_is_flushed_when_everything_was_written_and_then_flushed() {
    for resend in [Resend::Torn, unconfirmed(1000)] {
        let mut buffer = connected(resend, 1000);
        assert!(buffer.is_flushed());
        push_all(&mut buffer, 0..1);
        assert!(!buffer.is_flushed());
        take(&mut buffer, 10);
        assert!(!buffer.is_flushed());
        buffer.on_flushed();
        assert!(buffer.is_flushed());
    }
}

#[test]
fn a_flush_that_a_loss_has_overtaken_is_not_due_on_the_next_connection() {
    let mut buffer = connected(Resend::Torn, 1000);
    push_all(&mut buffer, 0..1);
    take(&mut buffer, 10);
    buffer.end_connection(true);
    assert!(buffer.is_flushed());
}

#[test]
fn a_backlog_is_what_a_connection_finds_until_it_is_flushed() {
    for resend in [Resend::Torn, unconfirmed(1000)] {
        let mut buffer = connected(resend, 1000);
        push_all(&mut buffer, 0..2);
        assert!(!buffer.has_backlog(), "it came after the connection");
        take(&mut buffer, 4);
        buffer.end_connection(true);
        assert!(!buffer.has_backlog(), "there is no connection");
        buffer.begin_connection();
        assert!(buffer.has_backlog());
        take(&mut buffer, 20);
        assert!(buffer.has_backlog(), "it is not flushed");
        buffer.on_flushed();
        assert!(!buffer.has_backlog());
        push_all(&mut buffer, 2..3);
        assert!(!buffer.has_backlog());
    }
}

#[test]
fn the_oldest_messages_that_were_never_taken_whole_are_dropped() {
    let mut buffer = connected(unconfirmed(1000), 15);
    push_all(&mut buffer, 0..5);
    take(&mut buffer, 25);
    buffer.end_connection(true);
    buffer.drop_oldest_above_limit();
    buffer.drop_oldest_above_limit();
    buffer.begin_connection();
    assert_eq!(take_all(&mut buffer), [0, 1, 4]);
    assert_eq!(buffer.dropped(), 2);
    buffer.confirm_up_to(3);
    assert_eq!(buffer.unconfirmed(buffer.confirmed_seq()), 0);
}

#[test]
fn nothing_is_dropped_if_every_message_was_taken_whole() {
    let mut buffer = connected(unconfirmed(1000), 1);
    push_all(&mut buffer, 0..2);
    take_all(&mut buffer);
    buffer.end_connection(true);
    buffer.drop_oldest_above_limit();
    assert_eq!(buffer.dropped(), 0);
    buffer.begin_connection();
    assert_eq!(take_all(&mut buffer), [0, 1]);
}

#[test]
fn messages_are_dropped_until_fewer_bytes_than_the_limit_wait() {
    for (max_queued, kept) in [(31, 3), (30, 2), (1, 0), (0, 0)] {
        let mut buffer = SendBuffer::new(Resend::Torn, max_queued);
        push_all(&mut buffer, 0..3);
        buffer.drop_oldest_above_limit();
        assert_eq!(buffer.dropped(), 3 - kept);
        assert!(buffer.has_room(Durability::Durable));
    }
}

#[test]
fn a_long_queue_is_sent_in_order_without_its_oldest() {
    let mut buffer = SendBuffer::new(Resend::Torn, 3001);
    push_all(&mut buffer, 0..1000);
    buffer.drop_oldest_above_limit();
    buffer.begin_connection();
    assert_eq!(take_all(&mut buffer), (700..1000).collect::<Vec<_>>());
}

#[test]
fn the_fast_path_of_a_sender_is_open_while_there_is_room_and_it_is_not_blocked() {
    for resend in [Resend::Torn, unconfirmed(1000)] {
        let mut buffer = SendBuffer::new(resend, 10);
        assert!(!buffer.may_push(), "there is no connection");
        buffer.set_blocked(false);
        assert!(buffer.may_push());
        push_all(&mut buffer, 0..1);
        assert!(!buffer.may_push());
        take(&mut buffer, 1);
        assert!(buffer.may_push());
        buffer.set_blocked(true);
        assert!(!buffer.may_push() && buffer.has_room(Durability::Durable));
    }
}

#[test]
fn a_backlog_that_was_confirmed_before_it_was_written_is_empty() {
    let mut buffer = connected(unconfirmed(1000), 1000);
    push_all(&mut buffer, 0..2);
    take_all(&mut buffer);
    replace_connection(&mut buffer);
    buffer.confirm_up_to(1);
    assert!(buffer.has_backlog());
    buffer.confirm_up_to(2);
    assert!(!buffer.has_backlog() && buffer.is_flushed());
}
