//! What arrives: R2, R3.

use super::*;

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
fn r2_what_has_arrived_before_is_skipped_whatever_its_bytes_are() {
    let mut end = End::new();
    end.data(0, b"abcd").unwrap();
    end.data(1, b"xyzef").unwrap();
    assert_eq!(end.read(), b"abcdef");
    end.data(0, b"uvwxyzg").unwrap();
    assert_eq!(end.read(), b"g");
    assert_eq!(end.core.recv().received(), 7);
}

#[test]
fn r2_an_offset_is_not_cut_to_32_bits() {
    for offset in [(1 << 32) - 1, 1 << 32, (1 << 32) + 2, (1 << 32) + 4] {
        let gap = ProtocolError::Gap {
            expected: 4,
            offset,
        };
        let mut end = End::new();
        end.data(0, b"abcd").unwrap();
        assert_eq!(end.data(offset, b"ef"), Err(gap));
        assert_eq!(end.read(), b"abcd");
    }
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
fn r3_more_data_does_not_put_an_acknowledgment_off() {
    let mut end = End::new();
    let first = end.now;
    for offset in 0..3 {
        end.data(offset, b"x").unwrap();
        end.now += Duration::from_millis(8);
    }
    assert!(end.timeout());
    assert_eq!(end.now - first, options().ack_delay);
    assert_eq!(end.frames(), [ack(3, 100)]);
}

#[test]
fn the_timer_of_an_acknowledgment_comes_once_while_the_connection_takes_nothing() {
    let mut end = End::new();
    end.core.write(b"waits");
    assert!(end.core.poll_transmit().is_some());
    end.data(0, b"x").unwrap();
    assert!(end.timeout());
    assert!(end.core.poll_timeout() > Some(end.now));
    let frames = end.frames();
    assert_eq!(frames.last(), Some(&ack(1, 100)));
}

#[test]
fn r3_an_end_that_acknowledges_each_byte_acknowledges_no_acknowledgment() {
    for ack_after in [0, 1] {
        let options = Options {
            ack_after,
            ..options()
        };
        let mut end = End::with(Role::Dialer, options);
        end.ack(0).unwrap();
        assert_eq!(end.frames(), []);
        end.data(0, b"a").unwrap();
        assert_eq!(end.frames(), [ack(1, 100)]);
    }
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
fn r3_what_the_window_has_grown_by_is_told_with_a_ping_and_a_pong() {
    let mut end = End::new();
    end.data(0, &[7; 100]).unwrap();
    end.frames();
    for (asks, limit) in [(true, 101), (false, 102)] {
        assert_eq!(end.core.read(&mut [0]), 1);
        assert_eq!(end.frames(), []);
        let token = u64::from(asks);
        let expected = if asks {
            assert!(end.timeout());
            Frame::Ping { token: 0 }
        } else {
            end.frame(Frame::Ping { token }).unwrap();
            Frame::Pong { token }
        };
        assert_eq!(end.frames(), [ack(100, limit), Owned::Frame(expected)]);
    }
    // Nothing has changed.
    end.frame(Frame::Ping { token: 2 }).unwrap();
    assert_eq!(end.frames(), [Owned::Frame(Frame::Pong { token: 2 })]);
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
fn an_acknowledgment_of_a_single_byte_goes_with_data_and_stops_its_timer() {
    let mut end = End::new();
    end.data(0, b"a").unwrap();
    end.core.write(b"b");
    let expected = [&[ack(1, 100)][..], &data(0, b"b")].concat();
    assert_eq!(end.frames(), expected);
    assert!(end.timeout());
    assert_eq!(end.frames(), [Owned::Frame(Frame::Ping { token: 0 })]);
}
