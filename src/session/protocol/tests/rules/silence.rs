//! Expiry, silence and the first frame: R10, R11, R13.

use super::*;

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
    end.now += Options::default().time_to_live;
    let _ = end.core.handle_timeout(end.now);
    assert_eq!(end.core.outcome(), None);
}

#[test]
fn r10_a_dialer_that_never_had_a_connection_does_not_expire() {
    let mut core = Core::new(Role::Dialer, options());
    core.detach(Instant::now());
    assert_eq!(core.poll_timeout(), None);
}

#[test]
fn r11_silence_is_answered_by_a_ping_and_then_by_the_end_of_the_connection() {
    let mut end = End::new();
    let began = end.now;
    assert!(end.timeout());
    assert_eq!(end.now - began, Duration::from_secs(15));
    assert_eq!(end.frames(), [Owned::Frame(Frame::Ping { token: 0 })]);
    assert!(end.core.handle_timeout(end.now), "there is time to answer");
    assert_eq!(end.frames(), [], "it asks once");
    assert!(!end.timeout());
    assert_eq!(end.now - began, Duration::from_secs(25));
}

#[test]
fn r11_a_process_that_was_stopped_asks_before_it_ends_the_connection() {
    let mut end = End::new();
    end.now += Duration::from_secs(3600);
    assert!(end.core.handle_timeout(end.now));
    assert_eq!(end.frames(), [Owned::Frame(Frame::Ping { token: 0 })]);
    let asked = end.now;
    assert!(!end.timeout());
    assert_eq!(end.now - asked, Duration::from_secs(10));
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
fn r13_a_frame_that_is_wrong_confirms_no_session() {
    let frames = [
        encode(Frame::Done),
        encode(Frame::Data { offset: 7, len: 1 }),
        encode(Frame::Fin { offset: 7 }),
        encode(Frame::Ack {
            received: 7,
            limit: 100,
        }),
    ];
    for frame in frames {
        let mut end = End::with(Role::Acceptor, options());
        end.arrive(&frame).unwrap_err();
        assert!(!end.core.is_confirmed(), "{frame:?}");
    }
}

#[test]
fn r11_bytes_that_are_read_into_the_buffer_are_life() {
    let mut end = End::new();
    end.arrive(&encode(Frame::Data { offset: 0, len: 3 }))
        .unwrap();
    end.now += Duration::from_secs(10);
    assert!(end.core.space(EPOCH).is_some());
    end.core.on_read(end.now, 1);
    let silent_from = end.now;
    assert!(end.timeout());
    assert_eq!(end.frames(), [ack(1, 100)]);
    let ping_at = silent_from + options().ping_after;
    assert_eq!(end.core.poll_timeout(), Some(ping_at));
}
