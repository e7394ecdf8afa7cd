//! Several frames in one write.

use super::*;

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

/// An end with frames of up to three bytes, which has sent 195 and may send the letters. They begin
/// five bytes before the end of the memory of its buffer.
fn with_letters() -> End {
    let options = Options {
        max_payload: 3,
        ..options()
    };
    let mut end = End::with(Role::Dialer, options);
    for (written, acknowledged) in [(100, 100), (95, 190)] {
        assert_eq!(end.core.write(&[0; 100][..written]), written);
        end.bytes();
        end.ack(acknowledged).unwrap();
    }
    assert_eq!(end.core.write(LETTERS), LETTERS.len());
    assert!(!end.core.send().unsent(0, 6).1.is_empty(), "in two parts");
    end
}

#[test]
fn one_write_takes_four_frames_or_any_part_of_them() {
    let frames = [
        data(195, b"abc"),
        data(198, b"def"),
        data(201, b"ghi"),
        data(204, b"jkl"),
    ];
    let end = with_letters();
    let batch = end.core.clone().poll_transmit().unwrap().all();
    assert_eq!(decode(&batch, 1).unwrap(), frames.concat());
    for part in 1..=batch.len() {
        let (mut core, now) = (end.core.clone(), end.now);
        core.poll_transmit();
        core.advance(part);
        let payload = part / 14 * 3 + (part % 14).saturating_sub(11);
        assert_eq!(core.send().most_sent(), 195 + payload as u64);
        let bytes = [&batch[..part], &End { core, now }.bytes()].concat();
        let all = decode(&bytes, 1).unwrap();
        assert_eq!(all[..8], frames.concat());
        let payloads = all.iter().map(|frame| match frame {
            Owned::Payload(payload) => &payload[..],
            Owned::Frame(_) => &[],
        });
        assert_eq!(payloads.collect::<Vec<_>>().concat(), LETTERS);
    }
}

#[test]
fn r3_no_frame_goes_behind_one_that_has_begun() {
    let mut end = with_letters();
    assert!(!end.core.poll_transmit().unwrap().behind.is_empty());
    end.core.advance(1);
    end.frame(Frame::Ping { token: 7 }).unwrap();
    let transmit = end.core.poll_transmit().unwrap();
    assert!(transmit.behind.is_empty());
    let rest = transmit.all().len();
    end.core.advance(rest);
    assert_eq!(end.frames()[0], Owned::Frame(Frame::Pong { token: 7 }));
}

#[test]
fn r3_no_frame_goes_behind_one_that_was_not_taken_if_something_is_due_or_the_session_has_ended() {
    let due: [fn(&mut End); 3] = [
        |end| end.frame(Frame::Ping { token: 7 }).unwrap(),
        |end| end.data(0, &[0; 50]).unwrap(),
        |end| end.core.abort(Reason::PeerReset, Reason::PeerReset),
    ];
    for make_due in due {
        let mut end = with_letters();
        assert!(!end.core.poll_transmit().unwrap().behind.is_empty());
        make_due(&mut end);
        let transmit = end.core.poll_transmit().unwrap();
        assert!(transmit.behind.is_empty());
        assert_eq!(decode(&transmit.all(), 1).unwrap(), data(195, b"abc"));
        end.core.advance(14);
        let next = end.frames();
        assert!(!matches!(next[0], Owned::Frame(Frame::Data { .. })));
    }
}

#[test]
fn r3_several_frames_in_one_write_are_no_more_than_the_peer_permits() {
    for (limit, expected) in [
        (2, data(0, b"ab").to_vec()),
        (3, data(0, b"abc").to_vec()),
        (4, [data(0, b"abc"), data(3, b"d")].concat()),
    ] {
        let end = with_letters();
        let mut core = Core::new(Role::Acceptor, *end.core.options());
        core.attach(end.now, EPOCH, (0, limit), &[]).unwrap();
        core.write(LETTERS);
        let bytes = core.poll_transmit().unwrap().all();
        // Behind the first frame of a connection.
        assert_eq!(decode(&bytes, 1).unwrap()[1..], expected);
    }
}
