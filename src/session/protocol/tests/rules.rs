//! The rules of one end, named as in `docs/protocol.md`.

use std::time::{Duration, Instant};

use super::frames::{Owned, decode, encode};
use crate::session::protocol::core::{Core, Outcome, Role};
use crate::session::protocol::error::{ProtocolError, Reason};
use crate::session::protocol::frame::{Frame, MAX_PAYLOAD};
use crate::session::protocol::options::Options;

const EPOCH: u64 = 1;

/// One end, attached, and the time.
struct End {
    core: Core,
    now: Instant,
}

fn options() -> Options {
    Options {
        send_buffer: 100,
        receive_window: 100,
        ack_after: 50,
        ..Options::default()
    }
}

impl End {
    fn with(role: Role, options: Options) -> Self {
        let (mut core, now) = (Core::new(role, options), Instant::now());
        let limit = 1_000_000;
        core.attach(now, EPOCH, (0, limit), &[]).unwrap();
        let mut end = Self { core, now };
        // The first frame of a connection.
        assert!(matches!(
            end.frames()[..],
            [Owned::Frame(Frame::Ack { .. })]
        ));
        end
    }

    fn new() -> Self {
        Self::with(Role::Dialer, options())
    }

    /// Everything that it writes now.
    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(transmit) = self.core.poll_transmit() {
            let batch = transmit.slices.concat();
            self.core.advance(batch.len());
            bytes.extend(batch);
        }
        bytes
    }

    fn frames(&mut self) -> Vec<Owned> {
        decode(&self.bytes(), usize::MAX).unwrap()
    }

    /// After an error it is on another connection, which carries what was not acknowledged.
    fn arrive(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let handled = self.core.handle_input(self.now, EPOCH, bytes);
        if handled.is_err() && handled != Err(ProtocolError::StaleConnection) {
            assert_eq!(self.core.epoch(), None, "the connection is detached");
            self.reattach(self.core.send().acknowledged()).unwrap();
            self.bytes();
        }
        handled
    }

    fn frame(&mut self, frame: Frame) -> Result<(), ProtocolError> {
        self.arrive(&encode(frame))
    }

    fn data(&mut self, offset: u64, payload: &[u8]) -> Result<(), ProtocolError> {
        let len = payload.len();
        self.arrive(&[&encode(Frame::Data { offset, len }), payload].concat())
    }

    fn read(&mut self) -> Vec<u8> {
        let mut into = [0; 256];
        let n = self.core.read(&mut into);
        into[..n].to_vec()
    }

    fn ack(&mut self, received: u64) -> Result<(), ProtocolError> {
        let limit = 1_000_000;
        self.frame(Frame::Ack { received, limit })
    }

    /// Goes to the next timeout. Returns false if the connection is dead.
    fn timeout(&mut self) -> bool {
        self.now = self.core.poll_timeout().expect("a timeout");
        self.core.handle_timeout(self.now)
    }

    /// On another connection, on which the peer has received so much.
    fn reattach(&mut self, received: u64) -> Result<(), ProtocolError> {
        self.core.detach(self.now);
        let offsets = (received, 1_000_000);
        self.core.attach(self.now, EPOCH, offsets, &[])
    }
}

fn data(offset: u64, payload: &[u8]) -> [Owned; 2] {
    let len = payload.len();
    [
        Owned::Frame(Frame::Data { offset, len }),
        Owned::Payload(payload.to_vec()),
    ]
}

fn ack(received: u64, limit: u64) -> Owned {
    Owned::Frame(Frame::Ack { received, limit })
}

#[test]
fn r1_bytes_are_released_by_an_acknowledgment_alone_and_a_full_buffer_takes_no_more() {
    let mut end = End::new();
    assert_eq!(end.core.write(&[1; 150]), 100);
    assert_eq!(end.core.write(&[1]), 0);
    end.bytes();
    assert_eq!((end.core.write(&[1]), end.core.unacknowledged()), (0, 100));
    end.core.detach(end.now);
    assert_eq!(end.core.write(&[1]), 0);
    end.reattach(0).unwrap();
    end.bytes();
    end.ack(30).unwrap();
    assert_eq!(end.core.unacknowledged(), 70);
    assert_eq!(end.core.write(&[2; 100]), 30);
}

#[test]
fn r2_what_has_arrived_before_is_skipped_and_a_gap_ends_the_connection() {
    let mut end = End::new();
    end.data(0, b"abcd").unwrap();
    end.data(2, b"cdef").unwrap();
    end.data(0, b"abc").unwrap();
    end.data(6, b"").unwrap();
    assert_eq!(end.read(), b"abcdef");
    let gap = ProtocolError::Gap {
        expected: 6,
        offset: 7,
    };
    assert_eq!(end.data(7, b"h"), Err(gap));
    assert_eq!(end.core.recv().received(), 6);
    assert_eq!(end.core.outcome(), None, "the session stays");
}

#[test]
fn r2_an_offset_that_overflows_ends_the_connection() {
    for offset in [u64::MAX, u64::MAX - 2, 1 << 32] {
        let mut end = End::new();
        assert!(end.data(offset, b"abc").is_err());
        assert_eq!(end.read(), b"");
    }
}

#[test]
fn r3_what_arrives_is_acknowledged_whether_the_application_reads_or_not() {
    let mut end = End::new();
    end.data(0, &[7; 60]).unwrap();
    assert_eq!(end.frames(), [ack(60, 100)]);
    end.data(60, &[7; 40]).unwrap();
    assert_eq!(end.frames(), [], "a little later");
    assert!(end.timeout());
    assert_eq!(end.frames(), [ack(100, 100)]);
    assert_eq!(end.read().len(), 100);
    assert_eq!(end.frames(), [ack(100, 200)], "the window has grown");
}

#[test]
fn r3_the_window_is_told_when_a_quarter_of_it_is_free() {
    let mut end = End::new();
    end.data(0, &[7; 100]).unwrap();
    end.frames();
    let mut into = [0; 24];
    assert_eq!(end.core.read(&mut into), 24);
    assert_eq!(end.frames(), []);
    assert_eq!(end.core.read(&mut into[..1]), 1);
    assert_eq!(end.frames(), [ack(100, 125)]);
}

#[test]
fn r3_data_beyond_the_window_ends_the_connection() {
    let mut end = End::new();
    let exceeded = ProtocolError::LimitExceeded {
        limit: 100,
        end: 101,
    };
    assert_eq!(end.data(0, &[7; 101]), Err(exceeded));
    assert_eq!(end.core.recv().unread(), 0);
    end.data(0, &[7; 100]).unwrap();
    assert!(end.data(100, &[7]).is_err());
}

#[test]
fn r3_no_more_is_sent_than_the_peer_permits() {
    let mut end = End::new();
    end.reattach(0).unwrap();
    let mut core = Core::new(Role::Acceptor, options());
    core.attach(end.now, EPOCH, (0, 3), &[]).unwrap();
    end.core = core;
    end.frames();
    end.core.write(b"abcdef");
    end.core.finish();
    assert_eq!(end.frames(), data(0, b"abc"));
    // A permission is never taken back.
    end.frame(Frame::Ack {
        received: 3,
        limit: 1,
    })
    .unwrap();
    end.frame(Frame::Ack {
        received: 3,
        limit: 5,
    })
    .unwrap();
    assert_eq!(end.frames(), data(3, b"de"));
    end.frame(Frame::Ack {
        received: 5,
        limit: 6,
    })
    .unwrap();
    let fin = Owned::Frame(Frame::Fin { offset: 6 });
    let last = data(5, b"f");
    assert_eq!(end.frames(), [&last[..], &[fin]].concat());
}

#[test]
fn r3_control_frames_go_before_data() {
    let mut end = End::new();
    end.core.write(&[1; 100]);
    end.frame(Frame::Ping { token: 9 }).unwrap();
    end.data(0, b"abc").unwrap();
    let frames = end.frames();
    assert_eq!(frames[0], ack(3, 100));
    assert_eq!(frames[1], Owned::Frame(Frame::Pong { token: 9 }));
    assert_eq!(frames[2..], data(0, &[1; 100]));
}

#[test]
fn r3_many_pings_get_one_answer() {
    let mut end = End::new();
    for token in 0..1000 {
        end.frame(Frame::Ping { token }).unwrap();
    }
    assert_eq!(end.frames(), [Owned::Frame(Frame::Pong { token: 999 })]);
}

#[test]
fn r4_what_is_replayed_goes_out_as_ordinary_frames_that_can_be_written_in_parts() {
    let mut end = End::new();
    end.core.write(b"abcdef");
    end.bytes();
    end.ack(2).unwrap();
    for part in 1..8 {
        end.reattach(3).unwrap();
        let mut bytes = Vec::new();
        while let Some(transmit) = end.core.poll_transmit() {
            let mut batch = transmit.slices.concat();
            batch.truncate(part);
            end.core.advance(batch.len());
            bytes.extend(batch);
        }
        let expected = [&[ack(0, 100)][..], &data(3, b"def")].concat();
        assert_eq!(decode(&bytes, 1).unwrap(), expected);
    }
}

#[test]
fn r5_input_of_a_connection_that_was_replaced_changes_nothing() {
    let mut end = End::new();
    end.core.detach(end.now);
    end.core.attach(end.now, 2, (0, 100), &[]).unwrap();
    let before = end.core.clone();
    assert_eq!(end.data(0, b"abc"), Err(ProtocolError::StaleConnection));
    assert_eq!(end.core, before);
    end.core.detach(end.now);
    assert_eq!(end.data(0, b"abc"), Err(ProtocolError::StaleConnection));
}

#[test]
fn r8_an_acknowledgment_of_what_was_not_sent_or_that_regresses_ends_the_connection() {
    let mut end = End::new();
    end.core.write(b"abcdef");
    assert!(end.ack(1).is_err(), "nothing was sent");
    end.bytes();
    for received in [7, 1 << 32, u64::MAX] {
        assert!(end.ack(received).is_err(), "{received}");
    }
    end.ack(4).unwrap();
    end.ack(4).unwrap();
    for received in [0, 3] {
        assert!(end.ack(received).is_err(), "{received}");
    }
    end.ack(6).unwrap();
    assert_eq!(end.core.unacknowledged(), 0);
    assert_eq!(end.core.outcome(), None);
}

#[test]
fn r8_offsets_of_a_resume_that_do_not_fit_desynchronize_the_session() {
    for (received, fits, unacknowledged) in [
        (1, false, 4),
        (2, true, 4),
        (6, true, 0),
        (7, false, 4),
        (u64::MAX, false, 4),
    ] {
        let mut end = End::new();
        end.core.write(b"abcdef");
        end.bytes();
        end.ack(2).unwrap();
        assert_eq!(end.reattach(received).is_ok(), fits, "{received}");
        let lost = Outcome::Lost(Reason::Desynchronized);
        assert_eq!(end.core.outcome(), (!fits).then_some(lost));
        assert_eq!(end.core.unacknowledged(), unacknowledged);
    }
}

#[test]
fn r9_the_end_has_a_place_in_the_sequence_and_is_acknowledged_like_a_byte() {
    let mut end = End::new();
    end.core.write(b"abc");
    end.core.finish();
    assert_eq!(end.core.write(b"more"), 0);
    let fin = Owned::Frame(Frame::Fin { offset: 3 });
    assert_eq!(
        end.frames(),
        [&data(0, b"abc")[..], std::slice::from_ref(&fin)].concat()
    );
    end.ack(3).unwrap();
    assert!(!end.core.send().is_complete());
    // The connection is lost before the end is acknowledged: it is sent again.
    end.reattach(3).unwrap();
    assert_eq!(end.frames(), [ack(0, 100), fin]);
    end.ack(4).unwrap();
    assert!(end.core.send().is_complete());
    end.reattach(4).unwrap();
    assert_eq!(end.frames(), [ack(0, 100)]);
}

#[test]
fn r9_the_end_arrives_once_and_nothing_comes_behind_it() {
    let mut end = End::new();
    end.data(0, b"abc").unwrap();
    for offset in [2, 4, u64::MAX] {
        assert!(end.frame(Frame::Fin { offset }).is_err(), "{offset}");
    }
    end.frame(Frame::Fin { offset: 3 }).unwrap();
    assert_eq!(end.frames(), [ack(4, 100)], "without a delay");
    end.frame(Frame::Fin { offset: 3 }).unwrap();
    assert!(end.frame(Frame::Fin { offset: 2 }).is_err());
    assert!(end.data(3, b"d").is_err());
    assert!(end.data(4, b"").is_err());
    end.data(1, b"bc").unwrap();
    assert!(!end.core.recv().is_at_end());
    assert_eq!(end.read(), b"abc");
    assert!(end.core.recv().is_at_end());
}

#[test]
fn r9_an_acceptor_says_done_once_both_directions_are_complete() {
    let mut end = End::with(Role::Acceptor, options());
    end.core.finish();
    assert_eq!(end.frames(), [Owned::Frame(Frame::Fin { offset: 0 })]);
    end.ack(1).unwrap();
    assert_eq!(end.core.outcome(), None);
    end.frame(Frame::Fin { offset: 0 }).unwrap();
    assert_eq!(end.core.outcome(), Some(Outcome::Complete));
    assert_eq!(end.frames(), [ack(1, 100), Owned::Frame(Frame::Done)]);
    assert!(end.core.is_closing());
    assert_eq!(end.frames(), []);
}

#[test]
fn r9_a_dialer_stays_until_it_is_told_that_everything_has_arrived() {
    let mut end = End::new();
    end.core.finish();
    end.bytes();
    assert_eq!(end.frame(Frame::Done), Err(ProtocolError::NotComplete));
    end.reattach(0).unwrap();
    end.bytes();
    end.ack(1).unwrap();
    end.frame(Frame::Fin { offset: 0 }).unwrap();
    end.bytes();
    assert_eq!(end.core.outcome(), None, "its acknowledgment may be lost");
    end.frame(Frame::Done).unwrap();
    assert_eq!(end.core.outcome(), Some(Outcome::Complete));
    let mut acceptor = End::with(Role::Acceptor, options());
    assert_eq!(acceptor.frame(Frame::Done), Err(ProtocolError::NotComplete));
}

#[test]
fn r10_a_session_without_a_connection_expires_and_gives_back_what_it_has() {
    let mut end = End::new();
    end.core.write(b"abc");
    end.bytes();
    end.core.detach(end.now);
    let detached = end.now;
    assert!(end.timeout());
    assert_eq!(end.now - detached, Duration::from_secs(120));
    assert_eq!(end.core.outcome(), Some(Outcome::Lost(Reason::Expired)));
    assert_eq!(end.core.unacknowledged(), 3, "it says how much is lost");
    assert_eq!(end.core.send().unacknowledged(), 0);
    assert_eq!(end.core.poll_timeout(), None);
    assert_eq!(end.core.write(b"d"), 0);
}

#[test]
fn r10_a_session_that_is_attached_again_does_not_expire() {
    let mut end = End::new();
    end.core.detach(end.now);
    end.reattach(0).unwrap();
    end.bytes();
    end.now += Duration::from_secs(1);
    end.frame(Frame::Pong { token: 0 }).unwrap();
    let idle = Options::default().ping_after;
    assert_eq!(end.core.poll_timeout(), Some(end.now + idle));
}

#[test]
fn r11_silence_is_answered_by_a_ping_and_then_by_the_end_of_the_connection() {
    let mut end = End::new();
    let began = end.now;
    assert!(end.timeout());
    assert_eq!(end.now - began, Duration::from_secs(15));
    assert_eq!(end.frames(), [Owned::Frame(Frame::Ping { token: 0 })]);
    assert!(!end.timeout());
    assert_eq!(end.now - began, Duration::from_secs(25));
}

#[test]
fn r11_any_byte_is_life_and_a_late_pong_is_none_of_death() {
    let mut end = End::new();
    let ping = [Owned::Frame(Frame::Ping { token: 0 })];
    for _ in 0..10 {
        assert!(end.timeout());
        assert_eq!(end.frames(), ping);
        end.now += Duration::from_secs(9);
        // Half of a frame.
        end.arrive(&[0x90]).unwrap();
        end.now += Duration::from_secs(14);
        assert!(end.core.handle_timeout(end.now));
        end.arrive(&[0, 0]).unwrap();
    }
}

#[test]
fn r13_a_session_is_confirmed_by_the_first_frame_of_the_peer() {
    let mut end = End::with(Role::Acceptor, options());
    assert!(!end.core.is_confirmed());
    end.arrive(&encode(Frame::Done)[..2]).unwrap();
    assert!(!end.core.is_confirmed(), "half of a frame");
    let mut end = End::with(Role::Acceptor, options());
    end.ack(0).unwrap();
    assert!(end.core.is_confirmed());
}

#[test]
fn a_reset_loses_the_session_and_what_has_arrived_can_be_read() {
    for reason in Reason::ALL {
        let mut end = End::new();
        end.core.write(b"abc");
        end.bytes();
        let reset = Frame::Reset {
            code: reason.code(),
        };
        let arriving = [
            encode(Frame::Data { offset: 0, len: 2 }),
            b"xy".to_vec(),
            encode(reset),
        ];
        end.arrive(&[&arriving.concat()[..], &[0xff]].concat())
            .unwrap();
        assert_eq!(end.core.outcome(), Some(Outcome::Lost(reason)));
        assert_eq!(end.core.unacknowledged(), 3);
        assert!(end.core.is_closing());
        assert_eq!(end.frames(), []);
        assert_eq!(end.read(), b"xy");
        assert!(!end.core.recv().is_at_end(), "never a clean end");
    }
}

#[test]
fn an_end_that_is_aborted_resets_the_peer_behind_the_frame_that_has_begun() {
    for written in 0..20 {
        let mut end = End::new();
        end.core.write(b"abc");
        let batch = end.core.poll_transmit().unwrap().slices.concat();
        let written = written.min(batch.len());
        end.core.advance(written);
        end.core.abort(Reason::Closed, Reason::PeerReset);
        assert_eq!(end.core.outcome(), Some(Outcome::Lost(Reason::Closed)));
        assert_eq!(end.core.unacknowledged(), 3);
        let bytes = [&batch[..written], &end.bytes()].concat();
        let reset = Owned::Frame(Frame::Reset { code: 3 });
        assert_eq!(
            decode(&bytes, 1).unwrap(),
            [&data(0, b"abc")[..], &[reset]].concat()
        );
        end.core.detach(end.now);
        assert_eq!(end.core.send().unacknowledged(), 0);
    }
}

#[test]
fn an_end_that_is_aborted_without_a_connection_gives_everything_back() {
    let mut end = End::new();
    end.core.write(b"abc");
    end.core.detach(end.now);
    end.core.abort(Reason::Closed, Reason::PeerReset);
    assert_eq!(end.core.unacknowledged(), 3);
    assert_eq!(end.core.send().unacknowledged(), 0);
    assert_eq!(end.core.poll_timeout(), None);
}

#[test]
fn a_flush_waits_for_the_connection_and_for_no_acknowledgment_and_not_while_detached() {
    let mut end = End::new();
    assert!(end.core.is_flushed());
    end.core.write(b"abc");
    assert!(!end.core.is_flushed());
    end.core.poll_transmit();
    end.core.advance(5);
    assert!(!end.core.is_flushed());
    end.bytes();
    assert!(end.core.is_flushed());
    end.core.write(b"abc");
    end.core.detach(end.now);
    assert!(end.core.is_flushed());
}

#[test]
fn what_was_written_is_sent_in_frames_of_the_longest_payload() {
    let mut end = End::with(
        Role::Dialer,
        Options {
            send_buffer: 3 * MAX_PAYLOAD,
            ..options()
        },
    );
    end.core.write(&vec![1; 2 * MAX_PAYLOAD + 1]);
    let frames = end.frames();
    let lens = frames.iter().filter_map(|piece| match piece {
        Owned::Frame(Frame::Data { offset, len }) => Some((*offset, *len)),
        Owned::Frame(_) | Owned::Payload(_) => None,
    });
    let longest = MAX_PAYLOAD as u64;
    let expected = [(0, MAX_PAYLOAD), (longest, MAX_PAYLOAD), (2 * longest, 1)];
    assert_eq!(lens.collect::<Vec<_>>(), expected);
}

#[test]
fn an_end_without_data_keeps_no_memory_for_it() {
    let mut end = End::new();
    end.core.write(b"abc");
    end.data(0, b"xyz").unwrap();
    end.bytes();
    end.core.release_memory();
    assert_eq!(end.read(), b"xyz", "what is there stays");
    end.ack(3).unwrap();
    end.core.release_memory();
    end.core.write(b"def");
    assert_eq!(end.frames(), data(3, b"def"));
}
