//! What a `SendBuffer` sends, and sends again.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use bytes::BytesMut;

use super::messages::*;
use crate::framed::send_buffer::{Durability, Resend};

#[test]
fn a_message_that_was_cut_is_sent_again_whole_and_before_the_rest() {
    for resend in [Resend::Torn, unconfirmed(1000)] {
        let mut buffer = connected(resend, 1000);
        push_all(&mut buffer, 0..2);
        assert_eq!(parse(&take(&mut buffer, 4)).cut, 4);
        replace_connection(&mut buffer);
        assert_eq!(take_all(&mut buffer), [0, 1], "{resend:?}");
    }
}

#[test]
fn a_message_that_was_cut_is_dropped_if_unsent_ones_are_not_kept() {
    for resend in [Resend::Torn, unconfirmed(1000)] {
        let mut buffer = connected(resend, 1000);
        push_all(&mut buffer, 0..3);
        take(&mut buffer, 14);
        buffer.end_connection(false);
        buffer.begin_connection();
        let sent_again = if resend == Resend::Torn { 0..0 } else { 0..1 };
        assert_eq!(take_all(&mut buffer), sent_again.collect::<Vec<_>>());
        assert_eq!(buffer.dropped(), 2, "{resend:?}");
    }
}

#[test]
fn a_message_that_was_taken_whole_and_is_cut_when_sent_again_is_not_an_unsent_one() {
    let mut buffer = connected(unconfirmed(1000), 1000);
    push_all(&mut buffer, 0..2);
    take(&mut buffer, 10);
    replace_connection(&mut buffer);
    take(&mut buffer, 4);
    buffer.end_connection(false);
    buffer.begin_connection();
    assert_eq!(take_all(&mut buffer), [0]);
    assert_eq!(buffer.dropped(), 1);
}

#[test]
fn with_torn_a_message_that_was_taken_whole_is_not_sent_again() {
    let mut buffer = connected(Resend::Torn, 1000);
    push_all(&mut buffer, 0..2);
    take(&mut buffer, 10);
    assert_eq!(buffer.unconfirmed(buffer.confirmed_seq()), 1);
    replace_connection(&mut buffer);
    assert_eq!(take_all(&mut buffer), [1]);
    replace_connection(&mut buffer);
    assert!(take_all(&mut buffer).is_empty());
}

#[test]
fn unconfirmed_messages_are_sent_again_until_they_are_confirmed() {
    let mut buffer = connected(unconfirmed(1000), 1000);
    push_all(&mut buffer, 0..3);
    for _ in 0..2 {
        assert_eq!(take_all(&mut buffer), [0, 1, 2]);
        replace_connection(&mut buffer);
    }
    take_all(&mut buffer);
    buffer.confirm_up_to(2);
    assert_eq!(buffer.unconfirmed(buffer.confirmed_seq()), 1);
    push_all(&mut buffer, 3..4);
    replace_connection(&mut buffer);
    assert_eq!(take_all(&mut buffer), [2, 3]);
}

#[test]
fn what_was_not_taken_whole_by_a_connection_can_not_be_confirmed() {
    let mut buffer = connected(unconfirmed(1000), 1000);
    push_all(&mut buffer, 0..3);
    take(&mut buffer, 19);
    buffer.confirm_up_to(u64::MAX);
    assert_eq!((buffer.confirmed_seq(), buffer.sent_seq()), (1, 1));
    replace_connection(&mut buffer);
    assert_eq!(take_all(&mut buffer), [1, 2]);
}

#[test]
fn a_confirmation_before_the_first_byte_of_a_connection_spares_it_the_message() {
    let mut buffer = connected(unconfirmed(1000), 1000);
    push_all(&mut buffer, 0..3);
    take_all(&mut buffer);
    replace_connection(&mut buffer);
    buffer.confirm_up_to(1);
    assert_eq!(take_all(&mut buffer), [1, 2]);
    assert_eq!(buffer.written_range(), range(1, 3));
}

#[test]
fn a_connection_that_has_accepted_a_byte_gets_an_unbroken_sequence() {
    let mut buffer = connected(unconfirmed(1000), 1000);
    push_all(&mut buffer, 0..3);
    take_all(&mut buffer);
    replace_connection(&mut buffer);
    take(&mut buffer, 1);
    buffer.confirm_up_to(3);
    assert_eq!(buffer.unconfirmed(buffer.confirmed_seq()), 0);
    assert_eq!(buffer.unwritten().len(), 29);
    take(&mut buffer, 29);
    assert_eq!(buffer.written_range(), range(0, 3));
    replace_connection(&mut buffer);
    assert!(buffer.unwritten().is_empty());
}

#[test]
fn the_written_range_of_a_connection_begins_with_its_first_byte() {
    let mut buffer = connected(unconfirmed(1000), 1000);
    assert_eq!(buffer.written_range(), range(0, 0));
    push_all(&mut buffer, 0..2);
    take(&mut buffer, 9);
    assert_eq!(buffer.written_range(), range(0, 0));
    take(&mut buffer, 1);
    assert_eq!(buffer.written_range(), range(0, 1));
    buffer.confirm_up_to(1);
    assert_eq!(buffer.written_range(), range(0, 1));
    replace_connection(&mut buffer);
    assert_eq!(buffer.written_range(), range(1, 1));
}

#[test]
fn a_transient_message_is_sent_in_its_place_and_never_on_a_later_connection() {
    for resend in [Resend::Torn, unconfirmed(1000)] {
        let mut buffer = connected(resend, 1000);
        push(&mut buffer, Durability::Durable, 0, 10);
        push(&mut buffer, Durability::Transient, 1, 10);
        push(&mut buffer, Durability::Durable, 2, 10);
        push(&mut buffer, Durability::Transient, 3, 10);
        assert_eq!(buffer.unconfirmed(buffer.confirmed_seq()), 2);
        assert_eq!(parse(&take(&mut buffer, 25)).whole, [0, 1]);
        replace_connection(&mut buffer);
        let again: &[u16] = if resend == Resend::Torn {
            &[2]
        } else {
            &[0, 2]
        };
        assert_eq!(take_all(&mut buffer), again, "{resend:?}");
        assert_eq!(buffer.dropped(), 0);
    }
}

#[test]
fn a_transient_message_that_was_cut_is_not_completed_on_the_next_connection() {
    let mut buffer = connected(unconfirmed(1000), 1000);
    push(&mut buffer, Durability::Transient, 0, 10);
    push(&mut buffer, Durability::Durable, 1, 10);
    take(&mut buffer, 4);
    replace_connection(&mut buffer);
    assert_eq!(take_all(&mut buffer), [1]);
}

#[test]
fn an_error_of_the_encoder_leaves_nothing_of_its_message() {
    for kind in [Durability::Durable, Durability::Transient] {
        let mut buffer = connected(unconfirmed(1000), 1000);
        push_all(&mut buffer, 0..1);
        let encode = |bytes: &mut BytesMut| {
            bytes.extend_from_slice(&[1; 300]);
            Err("too long")
        };
        assert_eq!(buffer.push(kind, encode), Err("too long"));
        push_all(&mut buffer, 1..2);
        assert_eq!(take_all(&mut buffer), [0, 1]);
    }
}

#[test]
fn a_panic_of_the_encoder_leaves_nothing_of_its_message() {
    for kind in [Durability::Durable, Durability::Transient] {
        let mut buffer = connected(unconfirmed(1000), 1000);
        push_all(&mut buffer, 0..1);
        let push_panicking = AssertUnwindSafe(|| {
            buffer.push::<()>(kind, |bytes| {
                bytes.extend_from_slice(&[1; 300]);
                resume_unwind(Box::new("a panic of the encoder"))
            })
        });
        assert!(catch_unwind(push_panicking).is_err());
        push_all(&mut buffer, 1..2);
        assert_eq!(take_all(&mut buffer), [0, 1]);
    }
}

#[test]
fn an_encoder_finds_the_bytes_of_the_messages_before_its_own() {
    let mut buffer = connected(Resend::Torn, 1000);
    push_all(&mut buffer, 0..1);
    let encode = |bytes: &mut BytesMut| {
        assert_eq!(bytes[..], message(0, 10));
        Ok::<(), ()>(())
    };
    buffer.push(Durability::Durable, encode).unwrap();
}
