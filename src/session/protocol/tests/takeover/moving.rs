//! Which connection has the session: R5, R13.

use super::*;

#[test]
fn a_session_moves_to_the_connection_of_a_resume() {
    let mut pair = Pair::new();
    let dial = pair.dial();
    assert_eq!(
        pair.dialer.core.epoch(),
        None,
        "the connection before is void"
    );
    assert_eq!(pair.resume(&dial), Ok(2));
    let answer = first_output(&mut pair.acceptor);
    assert_eq!(pair.answer(&dial, &answer), Ok(Answered::Attached(2)));
    assert_eq!(pair.acceptor.core.epoch(), Some(2));
    // What the old connection did not deliver is sent again.
    assert_eq!(pair.dialer.core.send().next_data(), Some((0, 6)));
}

#[test]
fn a_hello_permits_what_it_says_before_the_first_frame() {
    let hello = Hello {
        limit: 5,
        metadata: Vec::new(),
    };
    let credentials = (ID, SECRET);
    let mut acceptor = Acceptor::new(Instant::now(), Options::default(), &hello, credentials);
    acceptor.core.write(b"abcdefgh");
    assert_eq!(acceptor.core.send().next_data(), Some((0, 5)));
}

#[test]
fn an_answer_goes_with_all_that_is_due_in_one_write() {
    let mut pair = Pair::new();
    pair.acceptor.core.write(b"reply");
    let dial = pair.dial();
    assert_eq!(pair.resume(&dial), Ok(2));
    // The dialer's first frames may have come with its question.
    let ping = encode(Frame::Ping { token: 7 });
    pair.acceptor.core.handle_input(pair.now, 2, &ping).unwrap();
    let output = pair.acceptor.core.poll_transmit().unwrap().slices.concat();
    let (answer, len) = Handshake::decode(&output).unwrap().unwrap();
    assert_eq!(pair.answer(&dial, &answer), Ok(Answered::Attached(2)));
    // Nothing is added to what a connection has not taken yet.
    pair.acceptor.core.write(b"more");
    let again = pair.acceptor.core.poll_transmit().unwrap().slices.concat();
    assert_eq!(again, output);
    pair.dialer
        .core
        .handle_input(pair.now, 2, &output[len..])
        .unwrap();
    assert_eq!(pair.dialer.core.recv().readable().0, b"reply");
    pair.acceptor.core.advance(output.len());
    assert_eq!(pair.acceptor.core.send().next_data(), Some((5, 4)));
}

#[test]
fn r5_the_offset_is_computed_after_the_old_connection_has_been_stopped() {
    let mut pair = Pair::new();
    let late = [
        encode(Frame::Data { offset: 0, len: 6 }),
        b"abcdef".to_vec(),
    ]
    .concat();
    // Half of it has arrived on the old connection.
    let half = &late[..late.len() - 3];
    pair.acceptor.core.handle_input(pair.now, 0, half).unwrap();
    let dial = pair.dial();
    assert_eq!(pair.resume(&dial), Ok(2));
    let rest = pair.acceptor.core.handle_input(pair.now, 0, b"def");
    assert_eq!(rest, Err(ProtocolError::StaleConnection));
    let Handshake::Resumed(resumed) = first_output(&mut pair.acceptor) else {
        panic!("a RESUMED");
    };
    assert_eq!(resumed.received, 3);
    assert_eq!(pair.acceptor.core.recv().received(), 3);
}

#[test]
fn r5_of_two_resumes_in_either_order_the_later_dial_has_the_session() {
    for order in [[0, 1], [1, 0]] {
        let mut pair = Pair::new();
        let dials = [pair.dial(), pair.dial()];
        let results = order.map(|at| pair.resume(&dials[at]));
        let superseded = Err(lost(Reason::Superseded));
        match order {
            [0, 1] => assert_eq!(results, [Ok(2), Ok(3)]),
            _ => assert_eq!(results, [Ok(3), superseded]),
        }
        assert_eq!(pair.acceptor.core.epoch(), Some(3));
    }
}

#[test]
fn r13_a_welcome_that_is_lost_leaves_a_session_that_no_handler_was_told_of() {
    let now = Instant::now();
    let mut dialer = Dialer::new(Options::default(), Vec::new());
    let mut confirmed = 0;
    for loses_welcome in [true, true, false] {
        let dial = dialer.dial(now, NONCE);
        let Handshake::Hello(hello) = message(&dial.message) else {
            panic!("it knows no session yet");
        };
        let mut acceptor = Acceptor::new(now, Options::default(), &hello, (ID, SECRET));
        let welcome = first_output(&mut acceptor);
        if !loses_welcome {
            dialer.handle_answer(now, &dial, &welcome).unwrap();
            let first = dialer.core.poll_transmit().unwrap().slices.concat();
            acceptor.core.handle_input(now, 0, &first).unwrap();
        }
        confirmed += u32::from(acceptor.core.is_confirmed());
    }
    assert_eq!(confirmed, 1);
    assert_eq!(dialer.id(), Some(ID));
}
