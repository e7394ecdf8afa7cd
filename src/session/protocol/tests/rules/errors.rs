//! What an end says about a peer that breaks the protocol.

use super::*;

#[test]
fn an_error_says_what_was_expected_and_what_came() {
    let mut end = End::new();
    end.core.write(b"abcdef");
    end.bytes();
    end.ack(2).unwrap();
    let errors = [
        end.data(3, b"x"),
        end.data(0, &[0; 101]),
        end.ack(7),
        end.frame(Frame::Done),
        end.arrive(&[0x17, 0, 0]),
        end.arrive(&[0x11, 0, 3]),
        end.frame(Frame::Fin { offset: 0 }),
        end.frame(Frame::Fin { offset: 1 }),
        end.core.handle_input(end.now, EPOCH + 1, &[]),
    ];
    let expected = [
        "expected data at offset 0, got offset 3",
        "data up to offset 101, but the limit is 100",
        "acknowledgment of 7, expected 2 to 6",
        "the peer ended a session that is not complete",
        "unknown frame type 0x17",
        "a frame of type 0x11 can't have 3 bytes",
        "",
        "offset 1, but the stream ends at 0",
        "the connection was replaced by a later one",
    ];
    let said = errors.map(|result| result.err().map_or_else(String::new, |e| e.to_string()));
    assert_eq!(said, expected);
}
