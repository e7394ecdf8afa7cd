//! What the reader of a `RecvQueue` gets at the end of a stream, and of errors and panics.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::BytesMut;

use super::batches::{BAD, Batches, PANIC, frame};
use super::recv_queue::{Got, Queue, connected, drain, end_of_stream, lose, next, queue, read};
use crate::framed::send_buffer::WrittenRange;

fn with_eof(items: &[u8], fails: bool) -> Queue {
    let mut queue = queue(usize::MAX, 8);
    queue.begin_connection(Batches::with_eof(items, fails), BytesMut::new());
    queue
}

#[test]
fn the_end_of_a_stream_is_reported_once_after_the_last_items() {
    let mut queue = with_eof(&[7, 8], false);
    read(&mut queue, &frame(&[1, 2]));
    end_of_stream(&mut queue);
    let items = [1, 2, 7, 8].map(Got::Item);
    assert_eq!(drain(&mut queue), [&items[..], &[Got::End]].concat());
    // As from a `Framed`, the reader may continue.
    read(&mut queue, &frame(&[3]));
    assert_eq!(drain(&mut queue), [Got::Item(3)]);
}

#[test]
fn an_error_at_the_end_of_a_stream_is_one_error_and_then_the_end() {
    for items in [&[][..], &[7, 8]] {
        let mut queue = with_eof(items, true);
        end_of_stream(&mut queue);
        let items = items.iter().copied().map(Got::Item);
        let end = [Got::Error("the end is torn".into()), Got::End];
        assert_eq!(drain(&mut queue), items.chain(end).collect::<Vec<_>>());
    }
}

#[test]
fn the_decoder_is_not_asked_for_the_end_of_a_connection_that_was_lost() {
    for asked in 0..4 {
        let mut queue = with_eof(&[7, 8], false);
        read(&mut queue, &frame(&[1]));
        end_of_stream(&mut queue);
        let mut got: Vec<_> = (0..asked).map(|_| next(&mut queue, |_| {})).collect();
        lose(&mut queue, 1);
        got.extend(drain(&mut queue));
        let items = [1, 7, 8].map(Got::Item);
        // Those that the reader has got stay, and the whole message comes in any case.
        let expected = [&items[..asked.max(1)], &[Got::Seam(1, 0)]].concat();
        assert_eq!(got, expected);
    }
}

#[test]
fn the_decoder_is_asked_for_the_end_of_a_connection_that_was_closed_in_order() {
    for asked in 0..4 {
        let mut queue = with_eof(&[7, 8], false);
        read(&mut queue, &frame(&[1]));
        end_of_stream(&mut queue);
        let mut got: Vec<_> = (0..asked).map(|_| next(&mut queue, |_| {})).collect();
        queue.end_connection(None, WrittenRange::default());
        got.extend(drain(&mut queue));
        assert_eq!(got, [1, 7, 8].map(Got::Item));
    }
}

#[test]
fn an_error_that_is_kept_for_the_reader_comes_after_the_items_and_once() {
    for is_lost in [false, true] {
        let mut queue = connected();
        read(&mut queue, &frame(&[1, 2]));
        let buffer = queue.current_mut().unwrap();
        buffer.set_error(io::Error::other("first"));
        buffer.set_error(io::Error::other("second"));
        assert!(queue.has_error() && queue.has_more());
        let mut expected = vec![Got::Item(1), Got::Item(2), Got::Error("first".into())];
        if is_lost {
            lose(&mut queue, 1);
            expected.push(Got::Seam(1, 0));
        }
        assert_eq!(drain(&mut queue), expected);
        assert!(!queue.has_error() && !queue.has_more());
    }
}

#[test]
fn a_sender_reads_ahead_until_it_meets_a_second_error_or_the_end() {
    let mut queue = connected();
    assert!(queue.may_read_ahead());
    queue
        .current_mut()
        .unwrap()
        .set_error(io::Error::other("a"));
    assert!(queue.may_read_ahead());
    queue
        .current_mut()
        .unwrap()
        .set_error(io::Error::other("b"));
    assert!(!queue.may_read_ahead());
    assert!(queue.is_failing());
    queue.retry_reading();
    assert!(queue.may_read_ahead() && queue.has_error());
    queue
        .current_mut()
        .unwrap()
        .set_error(io::Error::other("c"));
    assert!(queue.is_failing() && !queue.may_read_ahead());
    assert_eq!(queue.take_error().unwrap().to_string(), "a");
    assert!(queue.may_read_ahead() && !queue.is_failing());
    read(&mut queue, &[0xf0; 64 * 1024 - 1]);
    assert!(queue.may_read_ahead());
    read(&mut queue, &[0xf0]);
    assert!(!queue.may_read_ahead());

    let mut queue = connected();
    end_of_stream(&mut queue);
    assert!(!queue.may_read_ahead());
    lose(&mut queue, 1);
    assert!(!queue.may_read_ahead(), "there is no connection");
}

#[test]
fn an_error_that_is_kept_for_the_reader_does_not_follow_one_of_the_decoder() {
    let mut queue = connected();
    read(&mut queue, &frame(&[BAD]));
    let buffer = queue.current_mut().unwrap();
    buffer.set_error(io::Error::other("kept"));
    lose(&mut queue, 1);
    let expected = [Got::Error("bad".into()), Got::Seam(1, 0)];
    assert_eq!(drain(&mut queue), expected);
}

#[test]
fn nothing_follows_a_message_of_a_past_connection_that_can_not_be_decoded() {
    let mut queue = connected();
    read(
        &mut queue,
        &[frame(&[1]), frame(&[BAD]), frame(&[2])].concat(),
    );
    lose(&mut queue, 1);
    let expected = [Got::Item(1), Got::Error("bad".into()), Got::Seam(1, 0)];
    assert_eq!(drain(&mut queue), expected);
}

#[test]
fn what_follows_a_message_that_can_not_be_decoded_can_be_discarded() {
    let mut queue = connected();
    read(&mut queue, &[frame(&[BAD]), frame(&[2])].concat());
    end_of_stream(&mut queue);
    assert_eq!(next(&mut queue, |_| {}), Got::Error("bad".into()));
    queue.discard_current();
    assert!(!queue.has_more());
    lose(&mut queue, 1);
    assert_eq!(drain(&mut queue), [Got::Seam(1, 0)]);
}

#[test]
fn bytes_that_arrive_after_a_panic_of_the_decoder_are_not_decoded_with_it() {
    for (has_ended, is_lost) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut queue = connected();
        read(&mut queue, &frame(&[PANIC, 2]));
        let panicking = AssertUnwindSafe(|| next(&mut queue, |_| {}));
        assert!(catch_unwind(panicking).is_err());
        // A sender reads ahead, or the rest is drained at the loss.
        read(&mut queue, &frame(&[3]));
        if has_ended {
            end_of_stream(&mut queue);
        }
        if is_lost {
            lose(&mut queue, 1);
        }
        let expected = Got::Error("the codec panicked".into());
        assert_eq!(next(&mut queue, |_| {}), expected);
    }
}

#[test]
fn a_decoder_that_has_panicked_is_not_used_again() {
    for is_lost in [false, true] {
        let mut queue = connected();
        read(&mut queue, &[frame(&[1, PANIC, 2]), frame(&[3])].concat());
        assert_eq!(next(&mut queue, |_| {}), Got::Item(1));
        let panicking = AssertUnwindSafe(|| next(&mut queue, |_| {}));
        assert!(catch_unwind(panicking).is_err());
        let mut expected = vec![Got::Error("the codec panicked".into())];
        if is_lost {
            lose(&mut queue, 1);
            expected.push(Got::Seam(1, 0));
        }
        assert_eq!(drain(&mut queue), expected);
    }
}
