//! How much waits for the reader of a `RecvQueue`.

use bytes::BytesMut;

use super::batches::{Batches, frame};
use super::recv_queue::{Got, begin, come_and_go, drain, lose, next, queue, read};
use crate::framed::send_buffer::WrittenRange;

#[test]
fn beyond_the_bytes_the_oldest_connections_remainders_are_dropped_whole() {
    let mut queue = queue(20, 8);
    for generation in 1..=3 {
        let items = u8::try_from(generation).unwrap();
        come_and_go(&mut queue, generation, &frame(&[items; 8]));
    }
    let mut expected = vec![Got::Seam(1, 9)];
    for item in [2, 3] {
        expected.extend([const { Got::Nothing }; 8].map(|_| Got::Item(item)));
        expected.push(Got::Seam(u64::from(item), 0));
    }
    assert_eq!(drain(&mut queue), expected);
}

#[test]
fn as_many_bytes_as_the_limit_are_kept() {
    for (bytes, dropped) in [(9, 0), (8, 9)] {
        let mut queue = queue(bytes, 8);
        come_and_go(&mut queue, 1, &frame(&[1; 8]));
        assert_eq!(drain(&mut queue).last(), Some(&Got::Seam(1, dropped)));
    }
}

#[test]
fn bytes_of_a_handshake_drop_older_ones_and_are_kept_while_the_connection_lives() {
    let mut queue = queue(10, 8);
    come_and_go(&mut queue, 1, &frame(&[1]));
    queue.begin_connection(Batches::default(), BytesMut::from(&frame(&[2; 30])[..]));
    let got = drain(&mut queue);
    assert_eq!(got[0], Got::Seam(1, 2));
    assert_eq!(got[1..], [const { Got::Item(2) }; 30]);
}

#[test]
fn a_reader_loses_only_the_rest_of_a_connection() {
    let mut queue = queue(10, 8);
    begin(&mut queue);
    read(&mut queue, &[frame(&[1]), frame(&[2; 10])].concat());
    assert_eq!(next(&mut queue, |_| {}), Got::Item(1));
    lose(&mut queue, 1);
    assert_eq!(drain(&mut queue), [Got::Seam(1, 11)]);
}

#[test]
fn beyond_the_connections_the_oldest_remainders_are_dropped() {
    let mut queue = queue(1000, 2);
    for generation in 1..=4 {
        come_and_go(&mut queue, generation, &frame(&[7]));
    }
    begin(&mut queue);
    let dropped = [Got::Seam(1, 2), Got::Seam(2, 2)];
    let kept = [3, 4].map(|generation| [Got::Item(7), Got::Seam(generation, 0)]);
    let expected = [&dropped[..], kept.as_flattened()].concat();
    assert_eq!(drain(&mut queue), expected);
}

#[test]
fn a_limit_of_no_connections_keeps_one() {
    let mut queue = queue(1000, 0);
    come_and_go(&mut queue, 1, &frame(&[7]));
    assert_eq!(drain(&mut queue), [Got::Item(7), Got::Seam(1, 0)]);
}

#[test]
fn a_connection_from_which_everything_was_read_does_not_count_for_the_limit() {
    let mut queue = queue(1000, 1);
    come_and_go(&mut queue, 1, &frame(&[7]));
    begin(&mut queue);
    assert_eq!(next(&mut queue, |_| {}), Got::Item(7));
    assert_eq!(next(&mut queue, |_| {}), Got::Seam(1, 0));
    assert_eq!(next(&mut queue, |_| {}), Got::Nothing);
    lose(&mut queue, 2);
    come_and_go(&mut queue, 3, &frame(&[8]));
    let expected = [Got::Seam(2, 0), Got::Item(8), Got::Seam(3, 0)];
    assert_eq!(drain(&mut queue), expected);
}

#[test]
fn what_the_reader_has_not_got_is_drained_from_a_dying_connection_up_to_the_limit() {
    let mut queue = queue(3, 8);
    assert!(!queue.may_drain(), "there is no connection");
    begin(&mut queue);
    read(&mut queue, &frame(&[1, 2]));
    assert!(queue.may_drain());
    read(&mut queue, &[9]);
    assert!(!queue.may_drain());
}

#[test]
fn many_seams_without_items_become_one_and_no_dropped_byte_is_forgotten() {
    let mut queue = queue(1, 2);
    for generation in 1..=1000 {
        come_and_go(&mut queue, generation, &frame(&[7]));
    }
    begin(&mut queue);
    let seams = drain(&mut queue);
    assert!(seams.len() < 100, "{} seams", seams.len());
    let (mut last, mut sum) = (0, 0);
    for seam in seams {
        let Got::Seam(generation, dropped) = seam else {
            panic!("{seam:?} is no seam");
        };
        assert!(generation > last, "in order");
        (last, sum) = (generation, sum + dropped);
    }
    assert_eq!((last, sum), (1000, 2000));
}

#[test]
fn the_seam_of_a_message_that_the_reader_was_in_the_middle_of_is_not_merged() {
    let mut queue = queue(1000, 1);
    begin(&mut queue);
    read(&mut queue, &frame(&[1, 2, 3]));
    assert_eq!(next(&mut queue, |_| {}), Got::Item(1));
    lose(&mut queue, 1);
    for generation in 2..=200 {
        come_and_go(&mut queue, generation, &[]);
    }
    let first = [Got::Item(2), Got::Item(3)];
    assert_eq!(drain(&mut queue)[..2], first);
}

#[test]
fn seams_with_items_between_them_are_not_merged() {
    let mut queue = queue(1000, 1000);
    for generation in 1..=300 {
        come_and_go(&mut queue, generation, &frame(&[7]));
    }
    assert_eq!(drain(&mut queue).len(), 600);
}

#[test]
fn items_that_the_decoder_holds_are_not_dropped_for_the_bytes_of_later_connections() {
    for (bytes, connections) in [(10, 8), (1000, 1)] {
        let mut queue = queue(bytes, connections);
        begin(&mut queue);
        read(&mut queue, &frame(&[1, 2, 3]));
        assert_eq!(next(&mut queue, |_| {}), Got::Item(1));
        lose(&mut queue, 1);
        for generation in 2..=4 {
            come_and_go(&mut queue, generation, &frame(&[9; 50]));
        }
        let first = [Got::Item(2), Got::Item(3), Got::Seam(1, 0)];
        assert_eq!(drain(&mut queue)[..3], first);
    }
}

#[test]
fn the_rest_of_a_connection_that_was_closed_in_order_is_never_dropped() {
    for has_ended in [false, true] {
        let mut queue = queue(10, 1);
        begin(&mut queue);
        assert_eq!(next(&mut queue, |_| {}), Got::Nothing);
        read(&mut queue, &frame(&[7; 50]));
        if has_ended {
            queue.current_mut().unwrap().on_end();
        }
        queue.end_connection(None, WrittenRange::default());
        assert_eq!(drain(&mut queue), [const { Got::Item(7) }; 50]);
    }
}

#[test]
fn a_connection_that_has_brought_nothing_does_not_count_for_the_limit() {
    let mut queue = queue(1000, 1);
    come_and_go(&mut queue, 1, &frame(&[7]));
    for generation in 2..=20 {
        come_and_go(&mut queue, generation, &[]);
    }
    assert_eq!(drain(&mut queue)[..2], [Got::Item(7), Got::Seam(1, 0)]);
}

#[test]
fn half_of_a_message_that_was_cut_off_by_the_limit_is_counted() {
    for (bytes, dropped) in [(9, 10), (10, 0)] {
        let mut queue = queue(bytes, 8);
        begin(&mut queue);
        read(&mut queue, &frame(&[7; 50])[..10]);
        assert_eq!(next(&mut queue, |_| {}), Got::Nothing);
        lose(&mut queue, 1);
        assert_eq!(drain(&mut queue), [Got::Seam(1, dropped)]);
    }
}
