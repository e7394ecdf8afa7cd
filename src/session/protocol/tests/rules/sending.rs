//! What is sent: R1, R3, R4, R5.

use super::*;

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
    for limit in [5, 1] {
        let received = 3;
        end.frame(Frame::Ack { received, limit }).unwrap();
    }
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
fn r4_the_end_of_a_stream_is_no_byte_that_is_sent_again() {
    for (written, expected) in [(&b""[..], 0), (b"abc", 3)] {
        let mut end = End::new();
        end.core.write(written);
        end.core.finish();
        end.bytes();
        end.reattach(0).unwrap();
        assert_eq!(end.core.send().to_replay(), expected);
        end.bytes();
        assert_eq!(end.core.send().to_replay(), 0);
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
fn r5_a_connection_that_was_replaced_is_not_read_into_the_payload_of_the_next() {
    let mut end = End::new();
    end.core.detach(end.now);
    end.core.attach(end.now, 2, (0, 100), &[]).unwrap();
    let header = encode(Frame::Data { offset: 0, len: 3 });
    end.core.handle_input(end.now, 2, &header).unwrap();
    assert_eq!(end.core.space(EPOCH), None);
    assert_eq!(end.core.space(2).map(|space| space.len()), Some(3));
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
    end.frame(Frame::Ping { token: 1 }).unwrap();
    end.core.poll_transmit();
    assert!(!end.core.is_flushed(), "a frame without data counts, too");
    end.bytes();
    end.core.write(b"abc");
    end.core.detach(end.now);
    assert!(end.core.is_flushed());
}

#[test]
fn a_flush_does_not_wait_for_the_window() {
    let mut end = End::new();
    end.core = Core::new(Role::Dialer, options());
    end.core.attach(end.now, EPOCH, (0, 2), &[]).unwrap();
    end.core.write(b"abc");
    assert!(!end.core.is_flushed());
    end.bytes();
    assert_eq!(end.core.send().most_sent(), 2);
    assert!(end.core.is_flushed());
    let (received, limit) = (0, 3);
    end.frame(Frame::Ack { received, limit }).unwrap();
    assert!(!end.core.is_flushed());
}

#[test]
fn there_is_something_to_transmit_from_each_act_of_the_application_until_it_is_sent() {
    type Act = fn(&mut End);
    let acts: [(&str, Act); 4] = [
        ("data", |end| assert_eq!(end.core.write(b"abc"), 3)),
        ("the end", |end| end.core.finish()),
        ("a reset", |end| {
            end.core.abort(Reason::PeerReset, Reason::PeerReset);
        }),
        // A quarter of it.
        ("the window", |end| drop(end.read())),
    ];
    for (what, act) in acts {
        let mut end = End::new();
        end.data(0, &[1; 25]).unwrap();
        end.frame(Frame::Ping { token: 1 }).unwrap();
        assert!(!end.core.has_transmit(), "a pong is no act");
        end.bytes();
        act(&mut end);
        assert!(end.core.has_transmit(), "{what}");
        end.bytes();
        assert!(!end.core.has_transmit(), "{what} was sent");
        act(&mut end);
        end.core.detach(end.now);
        assert!(!end.core.has_transmit(), "there is no connection");
    }
}

#[test]
fn there_is_something_to_transmit_until_the_acceptor_has_said_that_the_session_is_complete() {
    let mut end = End::with(Role::Acceptor, options());
    end.core.finish();
    end.bytes();
    end.ack(1).unwrap();
    assert!(!end.core.has_transmit());
    end.frame(Frame::Fin { offset: 0 }).unwrap();
    assert!(end.core.has_transmit());
    end.bytes();
    assert!(!end.core.has_transmit());
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
fn a_frame_has_no_more_of_the_stream_than_its_sender_is_told() {
    let options = Options {
        max_payload: 2,
        ..options()
    };
    let mut end = End::with(Role::Dialer, options);
    end.core.write(b"abc");
    let expected = [data(0, b"ab"), data(2, b"c")].concat();
    assert_eq!(end.frames(), expected);
}

#[test]
fn an_end_without_data_keeps_no_memory_for_it() {
    let mut end = End::new();
    end.core.write(b"abc");
    end.data(0, b"xyz").unwrap();
    end.bytes();
    let memory = |end: &End| (end.core.send().memory(), end.core.recv().memory());
    end.core.release_memory();
    assert_eq!(memory(&end), (3, 3), "what is there stays");
    assert_eq!(end.read(), b"xyz");
    assert_eq!(memory(&end), (3, 0), "it was emptied late");
    end.ack(3).unwrap();
    end.core.release_memory();
    assert_eq!(memory(&end), (0, 0));
    end.core.write(b"def");
    assert_eq!(end.frames(), data(3, b"def"));
    end.data(3, b"xyz").unwrap();
    assert_eq!(end.read(), b"xyz");
    assert_eq!(end.core.recv().memory(), 3, "it is not idle any more");
    end.core.release_memory();
    end.arrive(&encode(Frame::Data { offset: 6, len: 3 }))
        .unwrap();
    end.core.space(EPOCH).unwrap().copy_from_slice(b"xyz");
    end.core.on_read(end.now, 3);
    assert_eq!(end.read(), b"xyz");
    assert_eq!(end.core.recv().memory(), 3, "nor if it is read there");
    assert_eq!(*end.core.options(), options());
}
