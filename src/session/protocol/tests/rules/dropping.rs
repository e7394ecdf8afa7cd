//! Ends whose application is gone: what they throw away, and how the peer learns that.

use super::*;

const ROLES: [Role; 2] = [Role::Dialer, Role::Acceptor];

fn fin(offset: u64) -> Owned {
    Owned::Frame(Frame::Fin { offset })
}

fn reset(reason: Reason) -> Owned {
    let code = reason.code();
    Owned::Frame(Frame::Reset { code })
}

/// An end of this role that has sent a byte and its own end.
fn finished(role: Role) -> End {
    let mut end = End::with(role, options());
    end.core.write(b"x");
    end.core.finish();
    assert!(end.frames().ends_with(&[fin(1)]));
    end
}

/// What arrives in one read: so many bytes, and the end of the stream.
fn bytes_and_end(payload: &[u8]) -> Vec<u8> {
    let (len, offset) = (payload.len(), payload.len() as u64);
    let head = encode(Frame::Data { offset: 0, len });
    [&head, payload, &encode(Frame::Fin { offset })].concat()
}

#[test]
fn r9_the_peers_end_is_not_received_behind_bytes_that_were_thrown_away() {
    for role in ROLES {
        for is_unread_at_drop in [true, false] {
            let mut end = finished(role);
            if is_unread_at_drop {
                end.data(0, b"abc").unwrap();
            }
            end.core.discard();
            end.arrive(&bytes_and_end(b"abc")).unwrap();
            assert_eq!((end.core.outcome(), end.core.recv().received()), (None, 3));
            assert_eq!(end.frames()[0], ack(3, 103), "of the bytes alone");
            // It is sent again, and refused again.
            end.reattach(0).unwrap();
            end.frame(Frame::Fin { offset: 3 }).unwrap();
            assert_eq!(end.core.recv().received(), 3);
            end.bytes();
            end.ack(2).unwrap();
            assert_eq!(
                end.core.outcome(),
                Some(Outcome::Lost(Reason::PeerReset)),
                "{role:?}"
            );
            assert_eq!(end.frames(), [reset(Reason::PeerReset)]);
        }
    }
}

#[test]
fn an_end_that_throws_bytes_away_resets_the_peer_once_its_own_bytes_have_arrived() {
    for role in ROLES {
        let mut end = End::with(role, options());
        end.core.write(b"abc");
        end.core.finish();
        end.core.discard();
        end.bytes();
        end.data(0, b"x").unwrap();
        end.ack(3).unwrap();
        assert_eq!(end.core.outcome(), None, "the end has not arrived");
        end.ack(4).unwrap();
        assert_eq!(end.core.outcome(), Some(Outcome::Lost(Reason::PeerReset)));
        assert!(end.core.is_delivered());
    }
}

#[test]
fn an_end_that_has_delivered_everything_resets_the_peer_when_it_throws_bytes_away() {
    for role in ROLES {
        let mut end = finished(role);
        end.data(0, b"abc").unwrap();
        end.ack(2).unwrap();
        assert_eq!(end.core.outcome(), None);
        end.core.discard();
        assert_eq!(end.core.outcome(), Some(Outcome::Lost(Reason::PeerReset)));
        assert_eq!(end.frames(), [reset(Reason::PeerReset)]);
    }
}

#[test]
fn bytes_that_are_read_into_the_buffer_are_thrown_away_as_well() {
    for role in ROLES {
        let mut end = finished(role);
        end.ack(2).unwrap();
        end.core.discard();
        end.arrive(&encode(Frame::Data { offset: 0, len: 3 }))
            .unwrap();
        assert_eq!(end.core.outcome(), None, "nothing has arrived");
        assert!(end.core.space(EPOCH).is_some());
        end.core.on_read(end.now, 2);
        assert_eq!(end.core.outcome(), Some(Outcome::Lost(Reason::PeerReset)));
        assert_eq!(end.core.recv().unread(), 0);
        assert_eq!(end.frames(), [reset(Reason::PeerReset)]);
    }
}

#[test]
fn a_peer_that_may_throw_bytes_away_as_well_is_reset_behind_the_end() {
    let mut end = End::new();
    end.core.write(b"abc");
    end.core.finish();
    end.core.discard();
    end.arrive(&bytes_and_end(b"x")).unwrap();
    assert_eq!(end.core.outcome(), None, "nothing has arrived there");
    assert!(end.frames().ends_with(&[fin(3)]));
    end.ack(3).unwrap();
    assert_eq!(end.core.outcome(), Some(Outcome::Lost(Reason::PeerReset)));
    assert_eq!(end.frames(), [reset(Reason::PeerReset)]);
}

#[test]
fn a_peer_is_not_reset_before_it_was_sent_the_end() {
    let mut end = End::new();
    end.core.write(b"abc");
    end.bytes();
    end.ack(3).unwrap();
    end.core.finish();
    end.core.discard();
    end.arrive(&bytes_and_end(b"x")).unwrap();
    assert_eq!(end.core.outcome(), None);
    assert_eq!(end.frames(), [ack(1, 101), fin(3)]);
    end.ack(3).unwrap();
    assert_eq!(end.frames(), [reset(Reason::PeerReset)]);
}

#[test]
fn an_end_that_throws_nothing_away_completes() {
    for role in ROLES {
        let mut end = finished(role);
        end.data(0, b"abc").unwrap();
        assert_eq!(end.read(), b"abc");
        end.core.discard();
        end.arrive(&bytes_and_end(b"abc")).unwrap();
        assert_eq!(end.core.recv().received(), 4);
        end.ack(2).unwrap();
        if role == Role::Dialer {
            end.frame(Frame::Done).unwrap();
        }
        assert_eq!(end.core.outcome(), Some(Outcome::Complete), "{role:?}");
    }
}

#[test]
fn a_dialer_tells_its_loss_on_every_connection_for_its_time_to_live() {
    for is_attached in [true, false] {
        let mut end = End::new();
        end.core.write(b"abc");
        end.bytes();
        if !is_attached {
            end.core.detach(end.now);
        }
        end.core.abort(Reason::Closed, Reason::Closed);
        let expires_at = end.now + end.core.options().time_to_live;
        for received in [0, 3] {
            assert!(end.core.is_reset_untold());
            end.now += Duration::from_secs(1);
            // What the peer has received does not matter any more.
            end.reattach(received).unwrap();
            assert_eq!(end.frames(), [reset(Reason::Closed)]);
        }
        end.core.detach(end.now);
        let at = end.core.poll_timeout().unwrap();
        assert!(at <= expires_at + Duration::from_secs(1), "{is_attached}");
        assert!(end.timeout());
        assert!(!end.core.is_reset_untold());
        assert_eq!(end.core.outcome(), Some(Outcome::Lost(Reason::Closed)));
        assert_eq!(end.core.poll_timeout(), None);
    }
}

#[test]
fn a_dialer_that_never_had_a_connection_has_nothing_to_tell() {
    let mut core = Core::new(Role::Dialer, options());
    core.abort(Reason::PeerReset, Reason::PeerReset);
    assert!(!core.is_reset_untold());
}
