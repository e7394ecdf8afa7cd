//! The rig itself: its connections behave as sockets do, and its oracle sees planted faults.
#![cfg(feature = "codec")]

mod rig;

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use reconnecting_stream::{Eof, Phase, Resend, Seam, Verdict};
use rig::classify;
use rig::codec::{Codec, Item, Message};
use rig::connection::{Connection, Habits};
use rig::harness::Rig;
use rig::hook::{Act, Hook, Op, When};
use rig::reading::Reading;
use rig::sending::Sending;
use rig::settings::{MAX_UNREAD, Offline, Settings};
use rig::socket::Socket;
use rig::unread::Unread;
use rig::{Random, Task};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::bytes::BytesMut;
use tokio_util::codec::Encoder;

const HABITS: Habits = Habits {
    chunk: usize::MAX,
    room: 100,
    buffer: 0,
    keeps_arrived: true,
};

const SETTINGS: Settings = Settings {
    seam: Seam::Error,
    eof: Eof::Reconnect,
    resend: Resend::Torn,
    max_queued: 1000,
    max_attempts: None,
    offline: Offline::Keep,
    keeps_unsent: true,
    max_unread: MAX_UNREAD,
    habits: HABITS,
    trailers: 0,
    has_handshake: false,
    banner: 0,
    faulty_attempts: false,
    has_classifier: false,
};

fn rig() -> (Arc<Rig>, Socket) {
    let rig = Rig::new(SETTINGS, Random::new(1));
    let socket = rig.accept(1);
    (rig, socket)
}

fn read(task: &mut Task, socket: &mut Socket) -> Poll<std::io::Result<usize>> {
    let mut bytes = [0; 64];
    let mut buf = ReadBuf::new(&mut bytes);
    let polled = task.poll(|cx| Pin::new(socket).poll_read(cx, &mut buf));
    polled.unwrap().map_ok(|()| buf.filled().len())
}

#[tokio::test(start_paused = true)]
async fn a_fin_wakes_the_reader_and_not_the_writer() {
    let (rig, mut socket) = rig();
    let (mut reader, mut writer) = (Task::default(), Task::default());
    assert!(read(&mut reader, &mut socket).is_pending());
    rig.harness().connections[0].habits.room = 0;
    let write = writer.poll(|cx| Pin::new(&mut socket).poll_write(cx, b"x"));
    assert!(write.unwrap().is_pending());
    rig.act(Act::Fin);
    assert!(reader.is_woken());
    assert!(!writer.is_woken());
}

#[tokio::test(start_paused = true)]
async fn a_reset_wakes_both_and_is_reported_once() {
    let (rig, mut socket) = rig();
    let mut reader = Task::default();
    assert!(read(&mut reader, &mut socket).is_pending());
    rig.act(Act::Reset);
    assert!(reader.is_woken());
    assert!(matches!(
        read(&mut reader, &mut socket),
        Poll::Ready(Err(_))
    ));
    assert!(matches!(read(&mut reader, &mut socket), Poll::Ready(Ok(0))));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_connection_forgets_its_wakers() {
    let (rig, mut socket) = rig();
    let mut reader = Task::default();
    assert!(read(&mut reader, &mut socket).is_pending());
    drop(socket);
    rig.act(Act::Fin);
    assert!(!reader.is_woken());
}

#[tokio::test(start_paused = true)]
async fn only_the_latest_waker_of_a_direction_is_woken() {
    let (rig, mut socket) = rig();
    let (mut first, mut second) = (Task::default(), Task::default());
    assert!(read(&mut first, &mut socket).is_pending());
    assert!(read(&mut second, &mut socket).is_pending());
    rig.act(Act::Fin);
    assert!(!first.is_woken());
    assert!(second.is_woken());
}

#[tokio::test(start_paused = true)]
async fn a_hook_runs_between_the_operation_and_its_result() {
    let (rig, mut socket) = rig();
    rig.harness().hooks.push(Hook {
        op: Op::Read,
        when: When::After,
        skip: 0,
        act: Act::Fin,
    });
    let mut reader = Task::default();
    assert!(read(&mut reader, &mut socket).is_pending());
    assert!(reader.is_woken());
}

#[test]
fn a_dropped_waker_is_reported() {
    let polled = Task::default().poll(|_| Poll::<()>::Pending);
    assert!(polled.is_err());
}

fn encoded(rig: &Arc<Rig>, id: u32) -> BytesMut {
    let mut bytes = BytesMut::new();
    let message = Message::Hello { id };
    Codec::new(Arc::clone(rig), 0)
        .encode(message, &mut bytes)
        .unwrap();
    bytes[0] = rig::codec::DATA;
    bytes
}

fn check(resend: Resend, connections: &[&[u32]], confirmed: usize) -> Result<(), String> {
    let rig = Rig::new(SETTINGS, Random::new(1));
    let mut sending = Sending::new(resend, false);
    sending.accepted = vec![12; 5];
    sending.confirmed = confirmed;
    for ids in connections {
        let mut connection = Connection::new(HABITS, 1);
        for id in *ids {
            connection.given.extend(encoded(&rig, *id));
        }
        sending.classify(&mut connection)?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_oracle_detects_gaps_and_repetitions() {
    let unconfirmed = Resend::Unconfirmed { max_bytes: 100 };
    assert!(check(Resend::Torn, &[&[0, 1], &[2]], 0).is_ok());
    assert!(check(Resend::Torn, &[&[0, 1], &[1, 2]], 0).is_err());
    assert!(check(Resend::Torn, &[&[0], &[2]], 0).is_err());
    assert!(check(unconfirmed, &[&[0, 1], &[0, 1, 2]], 0).is_ok());
    assert!(check(unconfirmed, &[&[0, 1], &[1, 2]], 0).is_err());
    assert!(check(unconfirmed, &[&[0, 1], &[1, 2]], 1).is_ok());
    assert!(check(unconfirmed, &[&[0, 2]], 0).is_err());
}

#[test]
fn the_oracle_detects_what_is_missing_before_a_seam() {
    let mut first = Connection::new(HABITS, 1);
    drop(first.send_items(1, 0, None, 0));
    first.note_arrived();
    first.is_dropped = true;
    let mut second = Connection::new(HABITS, 2);
    drop(second.send_items(1, 0, None, 0));
    let connections = [&first, &second];
    let item = |connection| Item {
        connection,
        index: 0,
        reply: None,
    };
    let mut reading = Reading::new(Seam::Hidden, MAX_UNREAD);
    assert!(reading.item(&connections, item(1)).is_ok());
    assert!(reading.item(&connections, item(2)).is_ok());
    let mut reading = Reading::new(Seam::Hidden, MAX_UNREAD);
    assert!(
        reading.item(&connections, item(2)).is_err(),
        "nothing of the first"
    );
    let mut reading = Reading::new(Seam::Error, MAX_UNREAD);
    assert!(reading.item(&connections, item(1)).is_ok());
    assert!(reading.item(&connections, item(2)).is_err(), "no seam");
}

/// Checks what the seam of a connection with two items of 16 bytes each says, of which the reader
/// has got `got`, while no more than `bound` bytes may wait.
fn check_seam(bound: usize, got: usize, dropped_bytes: u64) -> Result<(), String> {
    let mut connection = Connection::new(HABITS, 1);
    drop(connection.send_items(1, 0, None, 0));
    drop(connection.send_items(1, 0, None, 0));
    connection.consumed = connection.arrived;
    let mut unread = Unread::new((bound, 8));
    unread.note(&[&connection], 1);
    unread.add(dropped_bytes)?;
    unread.leave(&connection, got, 2)?;
    unread.check_most()
}

#[test]
fn the_oracle_adds_up_what_the_seams_say_was_dropped() {
    assert!(check_seam(10, 0, 32).is_ok());
    assert!(check_seam(10, 1, 16).is_ok());
    assert!(check_seam(10, 2, 0).is_ok());
    assert!(check_seam(10, 0, 0).is_err(), "silent");
    assert!(check_seam(10, 0, 16).is_err(), "too little");
    assert!(check_seam(10, 1, 32).is_err(), "too much");
    assert!(check_seam(100, 0, 32).is_err(), "within the bound");
}

#[tokio::test(start_paused = true)]
async fn the_oracle_detects_an_error_that_is_classified_in_another_phase() {
    let (rig, _socket) = rig();
    let error = classify::error(&rig, Verdict::Surface, Phase::Write);
    assert_eq!(classify::classify(&error, Phase::Write), Verdict::Surface);
    assert_eq!(rig.harness().violation(), None);
    classify::classify(&error, Phase::Read);
    assert!(rig.harness().violation().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_read_comes_after_what_has_arrived() {
    let (rig, mut socket) = rig();
    rig.harness().connections[0].is_installed = true;
    rig.act(Act::Items { count: 1, cut: 0 });
    rig.act(Act::Fail(Op::Read, Verdict::Lost));
    let mut reader = Task::default();
    let first = read(&mut reader, &mut socket);
    assert!(matches!(first, Poll::Ready(Ok(16))));
    let second = read(&mut reader, &mut socket);
    assert!(matches!(second, Poll::Ready(Err(_))));
    assert!(read(&mut reader, &mut socket).is_pending());
}
