//! What the settings for an outage do.

use std::task::Waker;

use bytes::BytesMut;

use super::batches::Batches;
use super::lost;
use super::messages::*;
use crate::framed::confirm::ConfirmHandle;
use crate::framed::connector::ReadParts;
use crate::framed::core::{Core, OfflineQueue, Options};
use crate::framed::send_buffer::{Durability, Resend};

fn core(options: Options) -> Core<Batches> {
    Core::new(options)
}

fn begin(core: &mut Core<Batches>, generation: u64) {
    let new = ReadParts {
        codec: Batches::default(),
        read: BytesMut::new(),
    };
    core.begin_connection(generation, new);
}

/// Accepts messages of 10 bytes as long as there is room. Returns how many.
fn fill(core: &mut Core<Batches>, numbers: std::ops::Range<u16>) -> usize {
    let accepted = numbers.take_while(|&number| {
        let has_room = core.make_room(Durability::Durable);
        if has_room {
            push(&mut core.send, Durability::Durable, number, 10);
        }
        has_room
    });
    accepted.count()
}

#[test]
fn a_connection_is_installed_until_it_ends() {
    let mut core = core(Options::default());
    assert_eq!(core.generation(), None);
    begin(&mut core, 1);
    assert_eq!(core.generation(), Some(1));
    core.end_connection(Some(lost(1)));
    assert_eq!(core.generation(), None);
    begin(&mut core, 4);
    assert_eq!(core.generation(), Some(4));
}

#[test]
fn by_default_messages_wait_during_an_outage_until_the_queue_is_full() {
    let mut core = core(Options {
        max_queued: 25,
        ..Options::default()
    });
    assert_eq!(fill(&mut core, 0..9), 3);
    assert!(!core.is_refusing(Durability::Durable));
    begin(&mut core, 1);
    assert_eq!(take_all(&mut core.send), [0, 1, 2]);
    assert_eq!(core.send.dropped(), 0);
}

#[test]
fn messages_are_refused_only_while_there_is_no_connection() {
    let mut core = core(Options {
        offline: OfflineQueue::Refuse,
        ..Options::default()
    });
    assert!(core.is_refusing(Durability::Durable) && !core.make_room(Durability::Durable));
    assert!(!core.is_refusing(Durability::Transient));
    begin(&mut core, 1);
    assert!(!core.is_refusing(Durability::Durable) && core.make_room(Durability::Durable));
    core.end_connection(Some(lost(1)));
    assert!(core.is_refusing(Durability::Durable) && !core.make_room(Durability::Durable));
}

#[test]
fn what_was_accepted_before_an_outage_is_sent_also_if_messages_are_refused_in_it() {
    let mut core = core(Options {
        offline: OfflineQueue::Refuse,
        ..Options::default()
    });
    begin(&mut core, 1);
    push_all(&mut core.send, 0..2);
    core.end_connection(Some(lost(1)));
    begin(&mut core, 2);
    assert_eq!(take_all(&mut core.send), [0, 1]);
}

#[test]
fn the_oldest_messages_make_room_during_an_outage_and_only_then() {
    let mut core = core(Options {
        max_queued: 30,
        offline: OfflineQueue::DropOldest,
        ..Options::default()
    });
    assert_eq!(fill(&mut core, 0..9), 9);
    assert_eq!(core.send.dropped(), 6);
    begin(&mut core, 1);
    assert!(
        !core.make_room(Durability::Durable),
        "it waits for the peer"
    );
    assert_eq!(take_all(&mut core.send), [6, 7, 8]);
    assert_eq!(core.send.dropped(), 6);
}

#[test]
fn a_message_that_was_taken_whole_once_is_not_dropped_to_make_room() {
    let mut core = core(Options {
        resend: unconfirmed(1000),
        max_queued: 40,
        offline: OfflineQueue::DropOldest,
        ..Options::default()
    });
    begin(&mut core, 1);
    push_all(&mut core.send, 0..2);
    take_all(&mut core.send);
    core.end_connection(Some(lost(1)));
    assert_eq!(fill(&mut core, 2..9), 7);
    begin(&mut core, 2);
    let sent = take_all(&mut core.send);
    // The limit is for those that were never taken whole.
    assert_eq!(sent, [0, 1, 5, 6, 7, 8]);
    assert_eq!(core.send.dropped() + sent.len() as u64, 9);
}

#[test]
fn dropping_the_oldest_always_makes_room_and_drops_nothing_in_vain() {
    // Those that were taken whole fill the queue, or the window.
    for (max_bytes, max_queued) in [(1000, 100), (150, 1000)] {
        let mut core = core(Options {
            resend: unconfirmed(max_bytes),
            max_queued,
            offline: OfflineQueue::DropOldest,
            ..Options::default()
        });
        begin(&mut core, 1);
        push_all(&mut core.send, 0..15);
        take_all(&mut core.send);
        push_all(&mut core.send, 15..20);
        core.end_connection(Some(lost(1)));
        assert_eq!(fill(&mut core, 20..22), 2);
        assert_eq!(core.send.dropped(), 0);
        begin(&mut core, 2);
        assert!(
            !core.make_room(Durability::Durable),
            "there is a connection"
        );
    }
}

#[test]
fn a_transient_message_never_waits_for_room_during_an_outage() {
    for offline in [
        OfflineQueue::Keep,
        OfflineQueue::Refuse,
        OfflineQueue::DropOldest,
    ] {
        let mut core = core(Options {
            max_queued: 1,
            offline,
            ..Options::default()
        });
        push_all(&mut core.send, 0..1);
        assert!(core.make_room(Durability::Transient));
        assert_eq!(core.send.dropped(), 0, "it takes no room from others");
        begin(&mut core, 1);
        assert!(!core.make_room(Durability::Transient), "{offline:?}");
    }
}

#[test]
fn unsent_messages_are_dropped_at_a_loss_if_the_settings_say_so() {
    for keeps_unsent in [true, false] {
        let mut core = core(Options {
            keeps_unsent,
            ..Options::default()
        });
        push_all(&mut core.send, 0..1);
        begin(&mut core, 1);
        push_all(&mut core.send, 1..3);
        take(&mut core.send, 15);
        core.end_connection(Some(lost(1)));
        push_all(&mut core.send, 3..4);
        begin(&mut core, 2);
        let (sent, dropped): (&[u16], _) = if keeps_unsent {
            (&[1, 2, 3], 0)
        } else {
            (&[3], 2)
        };
        assert_eq!(take_all(&mut core.send), sent);
        assert_eq!(core.send.dropped(), dropped);
    }
}

#[test]
fn an_error_of_the_sender_is_kept_until_it_is_taken() {
    let mut core = core(Options::default());
    begin(&mut core, 1);
    assert!(!core.has_send_error() && core.send.may_push());
    core.set_send_error(std::io::Error::other("full"));
    assert!(core.has_send_error() && !core.send.may_push());
    assert_eq!(core.take_send_error().unwrap().to_string(), "full");
    assert!(!core.has_send_error() && core.send.may_push());
    assert!(core.take_send_error().is_none());
}

#[test]
fn a_sender_is_on_its_fast_path_only_with_a_connection_and_without_an_error() {
    let mut core = core(Options::default());
    assert!(!core.send.may_push());
    core.set_send_error(std::io::Error::other("full"));
    begin(&mut core, 1);
    assert!(!core.send.may_push(), "it has to be told of the error");
    core.take_send_error();
    assert!(core.send.may_push());
    core.set_send_error(std::io::Error::other("full"));
    core.end_connection(Some(lost(1)));
    core.take_send_error();
    assert!(!core.send.may_push(), "there is no connection");
}

#[test]
fn what_was_confirmed_before_a_loss_or_during_an_outage_is_not_sent_again() {
    for is_lost_first in [false, true] {
        let mut core = core(Options {
            resend: unconfirmed(1000),
            ..Options::default()
        });
        let confirmations = ConfirmHandle::new(core.confirms.pending(), Waker::noop().clone());
        begin(&mut core, 1);
        push_all(&mut core.send, 0..1);
        take_all(&mut core.send);
        if !is_lost_first {
            confirmations.confirm(1);
        }
        core.end_connection(Some(lost(1)));
        assert_eq!(core.send.is_flushed(), !is_lost_first);
        confirmations.confirm(1);
        begin(&mut core, 2);
        assert!(core.send.is_flushed() && !core.send.has_backlog());
    }
}

#[test]
fn the_default_settings_are_those_of_the_documentation() {
    let options = Options::default();
    assert_eq!(options.resend, Resend::Torn);
    assert_eq!(options.max_queued, 64 * 1024);
    assert_eq!(options.offline, OfflineQueue::Keep);
    assert!(options.keeps_unsent);
    assert_eq!(options.limits.bytes, 1024 * 1024);
    assert_eq!(options.limits.connections, 8);
}
