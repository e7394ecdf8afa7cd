//! Offsets that are checked: R8.

use super::*;

#[test]
fn r8_an_acknowledgment_of_what_was_not_sent_or_that_regresses_ends_the_connection() {
    let mut end = End::new();
    end.core.write(b"abcdef");
    assert!(end.ack(1).is_err(), "nothing was sent");
    end.bytes();
    for received in [7, 1 << 32, (1 << 32) + 3, (1 << 63) + 3, u64::MAX] {
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
