//! What the reader of a `RecvQueue` gets, and in which order.

use std::io;

use bytes::BytesMut;

use super::batches::{Batches, frame};
use super::lost;
use super::messages::range;
use crate::framed::recv_buffer::Received;
use crate::framed::recv_queue::{Limits, RecvQueue};
use crate::framed::send_buffer::WrittenRange;

pub(super) type Queue = RecvQueue<Batches>;

/// What the reader got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Got {
    Item(u8),
    Error(String),
    /// The seam after this generation, and how many bytes were dropped before it.
    Seam(u64, u64),
    Unreplaced(u64),
    End,
    Nothing,
}

impl From<Received<io::Result<u8>>> for Got {
    fn from(received: Received<io::Result<u8>>) -> Self {
        match received {
            Received::Item(Ok(item)) => Self::Item(item),
            Received::Item(Err(error)) => Self::Error(error.to_string()),
            Received::Seam(lost) => Self::Seam(lost.generation, lost.dropped_bytes),
            Received::FinalLoss(lost) => Self::Unreplaced(lost.generation),
            Received::End => Self::End,
            Received::Nothing => Self::Nothing,
        }
    }
}

/// Returns what the reader gets next. An error that the current connection keeps comes when there
/// is nothing else.
pub(super) fn next(queue: &mut Queue, on_move: impl FnMut(Option<WrittenRange>)) -> Got {
    let received = if queue.is_up_to_date() {
        queue.next_current()
    } else {
        queue.next(on_move)
    };
    match Got::from(received) {
        Got::Nothing => match queue.take_error() {
            Some(error) => Got::Error(error.to_string()),
            None => Got::Nothing,
        },
        got => got,
    }
}

/// Returns everything that the reader gets without another read.
pub(super) fn drain(queue: &mut Queue) -> Vec<Got> {
    std::iter::from_fn(|| Some(next(queue, |_| {})).filter(|got| *got != Got::Nothing)).collect()
}

pub(super) fn queue(bytes: usize, connections: usize) -> Queue {
    Queue::new(Limits { bytes, connections })
}

pub(super) fn begin(queue: &mut Queue) {
    queue.begin_connection(Batches::default(), BytesMut::new());
}

/// Bytes arrive on the current connection.
pub(super) fn read(queue: &mut Queue, bytes: &[u8]) {
    let buffer = queue.current_mut().expect("a connection");
    buffer.room().extend_from_slice(bytes);
    buffer.on_read();
}

/// The stream of the current connection ends.
pub(super) fn end_of_stream(queue: &mut Queue) {
    queue.current_mut().expect("a connection").on_end();
}

pub(super) fn lose(queue: &mut Queue, generation: u64) {
    queue.end_connection(Some(lost(generation)), WrittenRange::default());
}

/// A connection that was lost with these bytes unread.
pub(super) fn come_and_go(queue: &mut Queue, generation: u64, bytes: &[u8]) {
    queue.begin_connection(Batches::default(), BytesMut::from(bytes));
    lose(queue, generation);
}

pub(super) fn connected() -> Queue {
    let mut queue = RecvQueue::new(Limits::default());
    begin(&mut queue);
    queue
}

#[test]
fn the_reader_gets_the_items_of_each_connection_before_its_seam() {
    let mut queue = connected();
    read(&mut queue, &frame(&[1]));
    assert_eq!(next(&mut queue, |_| {}), Got::Item(1));
    read(&mut queue, &[frame(&[2]), frame(&[3])].concat());
    lose(&mut queue, 1);
    come_and_go(&mut queue, 2, &frame(&[4]));
    come_and_go(&mut queue, 3, &[]);
    queue.begin_connection(Batches::default(), BytesMut::from(&frame(&[5])[..]));
    let seams = [Got::Seam(1, 0), Got::Item(4), Got::Seam(2, 0)];
    let expected = [&[Got::Item(2), Got::Item(3)][..], &seams].concat();
    let last = [Got::Seam(3, 0), Got::Item(5)];
    assert_eq!(drain(&mut queue), [&expected[..], &last].concat());
    assert!(queue.is_up_to_date());
}

#[test]
fn items_that_the_decoder_holds_inside_itself_come_before_the_seam() {
    let mut queue = connected();
    read(&mut queue, &frame(&[1, 2, 3]));
    assert_eq!(next(&mut queue, |_| {}), Got::Item(1));
    assert!(queue.current().unwrap().bytes().is_empty());
    lose(&mut queue, 1);
    let rest = [Got::Item(2), Got::Item(3), Got::Seam(1, 0)];
    assert_eq!(drain(&mut queue), rest);
}

#[test]
fn half_of_a_message_is_dropped_at_a_loss() {
    let mut queue = connected();
    read(
        &mut queue,
        &[&frame(&[1])[..], &frame(&[2, 3])[..2]].concat(),
    );
    lose(&mut queue, 1);
    begin(&mut queue);
    read(&mut queue, &frame(&[4]));
    let expected = [Got::Item(1), Got::Seam(1, 0), Got::Item(4)];
    assert_eq!(drain(&mut queue), expected);
}

#[test]
fn a_message_that_comes_in_parts_is_one() {
    let mut queue = connected();
    for byte in frame(&[1, 2]) {
        assert_eq!(drain(&mut queue), []);
        read(&mut queue, &[byte]);
    }
    assert_eq!(drain(&mut queue), [Got::Item(1), Got::Item(2)]);
}

#[test]
fn a_connection_that_was_closed_in_order_has_no_seam() {
    let mut queue = connected();
    read(&mut queue, &frame(&[1]));
    queue.end_connection(None, WrittenRange::default());
    assert!(queue.has_more());
    assert_eq!(drain(&mut queue), [Got::Item(1)]);
    assert!(queue.is_empty() && !queue.has_more());
}

#[test]
fn each_connection_that_the_reader_comes_to_is_reported() {
    let mut queue = connected();
    let mut moves = Vec::new();
    next(&mut queue, |range| moves.push(range));
    assert_eq!(moves, [None]);
    queue.end_connection(Some(lost(1)), range(0, 3));
    for generation in 2..4 {
        begin(&mut queue);
        let written = range(generation, generation + 1);
        queue.end_connection(Some(lost(generation)), written);
    }
    begin(&mut queue);
    moves.clear();
    let seams: Vec<_> = (0..3)
        .map(|_| next(&mut queue, |range| moves.push(range)))
        .collect();
    assert_eq!(seams, [1, 2, 3].map(|generation| Got::Seam(generation, 0)));
    // It was on the first one already, and comes to the last one with its next poll.
    assert_eq!(moves, [Some(range(2, 3)), Some(range(3, 4))]);
    assert_eq!(next(&mut queue, |range| moves.push(range)), Got::Nothing);
    assert_eq!(moves.last(), Some(&None));
}

#[test]
fn a_reader_that_stays_on_its_connection_is_not_told_of_a_move() {
    let mut queue = connected();
    let mut moves = 0;
    for _ in 0..3 {
        // As after a command that turns out to be without effect.
        assert!(matches!(queue.next(|_| moves += 1), Received::Nothing));
    }
    assert_eq!(moves, 1);
}

#[test]
fn the_first_ended_connection_is_reported_to_a_reader_that_came_to_none() {
    let mut queue = connected();
    queue.end_connection(Some(lost(1)), range(0, 3));
    let mut moves = Vec::new();
    next(&mut queue, |range| moves.push(range));
    assert_eq!(moves, [Some(range(0, 3))]);
}

#[test]
fn a_loss_that_nothing_replaces_is_reported_last() {
    let mut queue = connected();
    read(&mut queue, &frame(&[1]));
    lose(&mut queue, 1);
    queue.set_final_loss(lost(2));
    let expected = [Got::Item(1), Got::Seam(1, 0), Got::Unreplaced(2)];
    assert!(queue.has_more());
    assert_eq!(drain(&mut queue), expected);
    assert!(!queue.has_more());
}

#[test]
fn a_seam_that_waits_reports_a_loss_that_nothing_replaces() {
    for has_passed in [false, true] {
        let mut queue = connected();
        lose(&mut queue, 1);
        let mut got = if has_passed {
            drain(&mut queue)
        } else {
            vec![]
        };
        queue.set_final_loss(lost(1));
        got.extend(drain(&mut queue));
        let again = has_passed.then_some(Got::Unreplaced(1));
        let expected = [Got::Seam(1, 0)].into_iter().chain(again);
        assert_eq!(got, expected.collect::<Vec<_>>());
    }
}

#[test]
fn the_queue_has_more_exactly_while_the_reader_need_not_wait() {
    let mut queue = RecvQueue::new(Limits::default());
    assert!(!queue.has_more() && queue.is_empty());
    begin(&mut queue);
    assert!(queue.has_more(), "the handshake's codec may hold an item");
    assert_eq!(drain(&mut queue), []);
    assert!(!queue.has_more() && !queue.is_empty());
    read(&mut queue, &frame(&[1]));
    assert!(queue.has_more());
    lose(&mut queue, 1);
    assert!(queue.has_more() && !queue.is_empty());
    drain(&mut queue);
    assert!(!queue.has_more() && queue.is_empty());
}
