//! The ends of streams and of sessions: R9.

use super::*;

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
fn r9_a_resume_that_acknowledges_the_end_completes_the_session() {
    let mut end = End::with(Role::Acceptor, options());
    end.core.finish();
    end.bytes();
    end.frame(Frame::Fin { offset: 0 }).unwrap();
    end.reattach(1).unwrap();
    assert_eq!(end.core.outcome(), Some(Outcome::Complete));
    assert_eq!(end.frames(), [ack(1, 100), Owned::Frame(Frame::Done)]);
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
fn a_reset_loses_the_session_and_what_has_arrived_can_be_read() {
    for reason in Reason::ALL {
        let mut end = End::new();
        end.core.write(b"abc");
        end.bytes();
        let reset = Frame::Reset {
            code: reason.code(),
        };
        // Nothing is handled that comes behind it.
        let arriving = [
            encode(Frame::Data { offset: 0, len: 2 }),
            b"xy".to_vec(),
            encode(reset),
            encode(Frame::Data { offset: 2, len: 1 }),
            b"z\xff".to_vec(),
        ];
        end.arrive(&arriving.concat()).unwrap();
        assert_eq!(end.core.outcome(), Some(Outcome::Lost(reason)));
        assert_eq!(end.core.unacknowledged(), 3);
        assert!(end.core.is_closing());
        assert_eq!(end.frames(), []);
        assert_eq!(end.read(), b"xy");
        assert!(!end.core.recv().is_at_end(), "never a clean end");
    }
}

#[test]
fn a_reset_stops_the_frame_that_has_begun() {
    for written in 0..14 {
        let mut end = End::new();
        end.core.write(b"abc");
        end.core.poll_transmit().unwrap();
        end.core.advance(written);
        end.frame(Frame::Reset { code: 3 }).unwrap();
        assert_eq!(end.core.poll_transmit(), None, "{written}");
    }
}

#[test]
fn an_end_that_is_aborted_takes_no_more_of_a_payload() {
    let mut end = End::new();
    end.arrive(&encode(Frame::Data { offset: 0, len: 3 }))
        .unwrap();
    assert!(end.core.space(EPOCH).is_some());
    end.core.abort(Reason::Closed, Reason::Closed);
    assert_eq!(end.core.space(EPOCH), None);
    end.arrive(b"abc").unwrap();
    assert_eq!(end.read(), b"");
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
fn an_acceptor_that_is_aborted_without_a_connection_gives_everything_back() {
    let mut end = End::with(Role::Acceptor, options());
    end.core.write(b"abc");
    end.core.detach(end.now);
    end.core.abort(Reason::Closed, Reason::PeerReset);
    assert_eq!(end.core.unacknowledged(), 3);
    assert_eq!(end.core.send().unacknowledged(), 0);
    assert_eq!(end.core.poll_timeout(), None);
    assert!(!end.core.is_reset_untold(), "its tombstone tells the peer");
}
