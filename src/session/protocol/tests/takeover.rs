//! How a session moves from one connection to the next: proofs, epochs and answers.

use std::time::{Duration, Instant};

use super::frames::encode;
use crate::session::protocol::acceptor::{Acceptor, Tombstone, reject_unknown};
use crate::session::protocol::core::Outcome;
use crate::session::protocol::dialer::{Answered, Dial, Dialer};
use crate::session::protocol::error::{ProtocolError, Reason};
use crate::session::protocol::frame::Frame;
use crate::session::protocol::handshake::{
    Handshake, Hello, Refusal, Reject, Resume, Resumed, Welcome,
};
use crate::session::protocol::options::Options;
use crate::session::protocol::proof::{Secret, SessionId};

const ID: SessionId = SessionId([7; 16]);
const SECRET: Secret = Secret([9; 32]);
const NONCE: [u8; 16] = [1; 16];

/// Both ends of a session, attached, with what `dialer` has written sent and not acknowledged.
struct Pair {
    now: Instant,
    dialer: Dialer,
    acceptor: Acceptor,
}

fn message(bytes: &[u8]) -> Handshake {
    let (message, len) = Handshake::decode(bytes).unwrap().unwrap();
    assert_eq!(len, bytes.len());
    message
}

fn resume_of(dial: &Dial) -> Resume {
    match message(&dial.message) {
        Handshake::Resume(resume) => resume,
        other => panic!("{other:?}"),
    }
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let mut dialer = Dialer::new(Options::default(), b"who".to_vec());
        let dial = dialer.dial(now, NONCE);
        let Handshake::Hello(hello) = message(&dial.message) else {
            panic!("a HELLO");
        };
        assert_eq!(hello.metadata, b"who");
        let mut acceptor = Acceptor::new(now, Options::default(), &hello, (ID, SECRET));
        let answer = first_output(&mut acceptor);
        let answered = dialer.handle_answer(now, &dial, &answer);
        assert_eq!(answered, Ok(Answered::Attached(1)));
        let mut pair = Self {
            now,
            dialer,
            acceptor,
        };
        pair.dialer.core.write(b"abcdef");
        while let Some(transmit) = pair.dialer.core.poll_transmit() {
            let n = transmit.slices.concat().len();
            pair.dialer.core.advance(n);
        }
        pair
    }

    fn dial(&mut self) -> Dial {
        self.dialer.dial(self.now, NONCE)
    }

    fn resume(&mut self, dial: &Dial) -> Result<u64, Reject> {
        self.acceptor.handle_resume(self.now, &resume_of(dial))
    }

    fn answer(&mut self, dial: &Dial, answer: &Handshake) -> Result<Answered, ProtocolError> {
        self.dialer.handle_answer(self.now, dial, answer)
    }
}

/// The handshake message that the acceptor writes first.
fn first_output(acceptor: &mut Acceptor) -> Handshake {
    let bytes = acceptor
        .core
        .poll_transmit()
        .expect("an answer")
        .slices
        .concat();
    acceptor.core.advance(bytes.len());
    message(&bytes)
}

fn lost(reason: Reason) -> Reject {
    let refusal = Refusal::Lost(reason.code());
    Reject { refusal }
}

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
fn r6_a_resume_that_is_replayed_or_forged_changes_nothing() {
    let mut pair = Pair::new();
    let dial = pair.dial();
    pair.resume(&dial).unwrap();
    let before = pair.acceptor.clone();
    assert_eq!(
        pair.resume(&dial),
        Err(lost(Reason::Superseded)),
        "replayed"
    );
    let genuine = resume_of(&pair.dial());
    let forgeries = [
        Resume {
            epoch: 99,
            ..genuine
        },
        Resume {
            received: 1,
            ..genuine
        },
        Resume {
            proof: [0; 32],
            ..genuine
        },
        genuine.prove(&Secret([0; 32])),
    ];
    for forged in forgeries {
        let refused = pair.acceptor.handle_resume(pair.now, &forged);
        assert_eq!(refused, Err(lost(Reason::Rejected)));
        // An unknown id is not told apart from a wrong proof.
        assert_eq!(reject_unknown(&forged), lost(Reason::Rejected));
    }
    assert_eq!(pair.acceptor, before);
}

#[test]
fn r6_a_forged_resume_does_not_prolong_a_session() {
    let mut pair = Pair::new();
    let dial = pair.dial();
    pair.acceptor.core.detach(pair.now);
    let expires = pair.acceptor.core.poll_timeout();
    pair.now += Duration::from_secs(60);
    let forged = Resume {
        proof: [0; 32],
        ..resume_of(&dial)
    };
    assert!(pair.acceptor.handle_resume(pair.now, &forged).is_err());
    assert_eq!(pair.acceptor.core.poll_timeout(), expires);
}

#[test]
fn r7_a_dialer_sends_nothing_to_an_acceptor_that_does_not_prove_itself() {
    let mut pair = Pair::new();
    let dial = pair.dial();
    let question = resume_of(&dial);
    let resumed = |epoch, secret: &Secret, question: &Resume| {
        let resumed = Resumed {
            epoch,
            received: 0,
            limit: 1000,
            is_complete: false,
            proof: [0; 32],
        };
        Handshake::Resumed(resumed.prove(secret, question))
    };
    let other = Resume {
        nonce: [2; 16],
        ..question
    };
    for impostor in [
        resumed(2, &Secret([0; 32]), &question),
        resumed(1, &SECRET, &question),
        resumed(2, &SECRET, &other),
    ] {
        let answered = pair.answer(&dial, &impostor);
        assert_eq!(answered, Err(ProtocolError::BadProof));
        assert_eq!(pair.dialer.core.epoch(), None);
        assert_eq!(pair.dialer.core.poll_transmit(), None);
        assert_eq!(pair.dialer.core.outcome(), None, "it may dial again");
    }
    let answered = pair.answer(&dial, &resumed(2, &SECRET, &question));
    assert_eq!(answered, Ok(Answered::Attached(2)));
}

#[test]
fn r8_a_resume_whose_offset_does_not_fit_desynchronizes_both_ends() {
    let mut pair = Pair::new();
    let genuine = resume_of(&pair.dial());
    let ahead = Resume {
        received: 1,
        ..genuine
    }
    .prove(&SECRET);
    let refused = pair.acceptor.handle_resume(pair.now, &ahead);
    assert_eq!(refused, Err(lost(Reason::Desynchronized)));
    let outcome = Some(Outcome::Lost(Reason::Desynchronized));
    assert_eq!(pair.acceptor.core.outcome(), outcome);
    let dial = pair.dial();
    let reject = Handshake::Reject(pair.resume(&dial).unwrap_err());
    let answered = pair.answer(&dial, &reject);
    assert_eq!(answered, Ok(Answered::Lost(Reason::Desynchronized)));
    assert_eq!(pair.dialer.core.outcome(), outcome);
}

#[test]
fn r8_an_answer_whose_offset_does_not_fit_desynchronizes_the_dialer() {
    for (received, fits) in [(0, true), (6, true), (7, false), (u64::MAX, false)] {
        let mut pair = Pair::new();
        let dial = pair.dial();
        let resumed = Resumed {
            epoch: 2,
            received,
            limit: 1000,
            is_complete: false,
            proof: [0; 32],
        };
        let resumed = Handshake::Resumed(resumed.prove(&SECRET, &resume_of(&dial)));
        let expected = match fits {
            true => Answered::Attached(2),
            false => Answered::Lost(Reason::Desynchronized),
        };
        assert_eq!(pair.answer(&dial, &resumed), Ok(expected), "{received}");
    }
}

#[test]
fn r9_a_tombstone_answers_a_dialer_that_does_not_know_that_the_session_is_complete() {
    let mut pair = Pair::new();
    pair.dialer.core.finish();
    let mut tombstone = complete(&mut pair);
    let dial = pair.dial();
    let resumed = tombstone.handle_resume(&resume_of(&dial)).unwrap();
    assert!(resumed.is_complete);
    let again = tombstone.handle_resume(&resume_of(&dial));
    assert_eq!(again, Err(lost(Reason::Superseded)), "an epoch counts once");
    let answered = pair.answer(&dial, &Handshake::Resumed(resumed));
    assert_eq!(answered, Ok(Answered::Complete));
    let forged = Resume {
        proof: [0; 32],
        ..resume_of(&pair.dial())
    };
    assert_eq!(
        tombstone.handle_resume(&forged),
        Err(lost(Reason::Rejected))
    );
}

/// Brings everything to both ends, but DONE.
fn complete(pair: &mut Pair) -> Tombstone {
    pair.acceptor.core.finish();
    for _ in 0..3 {
        let mut bytes = Vec::new();
        while let Some(transmit) = pair.dialer.core.poll_transmit() {
            let batch = transmit.slices.concat();
            pair.dialer.core.advance(batch.len());
            bytes.extend(batch);
        }
        if pair.acceptor.core.recv().received() == 0 {
            bytes.splice(0..0, encode(Frame::Data { offset: 0, len: 6 }));
            bytes.splice(11..11, b"abcdef".iter().copied());
        }
        let arrived = pair.acceptor.core.handle_input(pair.now, 0, &bytes);
        arrived.unwrap();
        if pair.acceptor.core.outcome().is_some() {
            break;
        }
        while let Some(transmit) = pair.acceptor.core.poll_transmit() {
            let batch = transmit.slices.concat();
            pair.acceptor.core.advance(batch.len());
            pair.dialer.core.handle_input(pair.now, 1, &batch).unwrap();
        }
    }
    assert_eq!(pair.acceptor.core.outcome(), Some(Outcome::Complete));
    assert_eq!(pair.dialer.core.outcome(), None);
    pair.acceptor.tombstone().expect("it has ended")
}

#[test]
fn a_session_that_says_that_it_is_complete_and_is_not_is_desynchronized() {
    let mut pair = Pair::new();
    let dial = pair.dial();
    let resumed = Resumed {
        epoch: 2,
        received: 6,
        limit: 1000,
        is_complete: true,
        proof: [0; 32],
    };
    let resumed = Handshake::Resumed(resumed.prove(&SECRET, &resume_of(&dial)));
    let lost = Answered::Lost(Reason::Desynchronized);
    assert_eq!(pair.answer(&dial, &resumed), Ok(lost));
}

#[test]
fn r10_a_resume_that_comes_with_the_expiry_finds_the_session_expired() {
    for (late, expected) in [(-1, Ok(2)), (0, Err(lost(Reason::Expired)))] {
        let mut pair = Pair::new();
        pair.acceptor.core.detach(pair.now);
        let dial = pair.dial();
        pair.now = pair.acceptor.core.poll_timeout().unwrap();
        if late < 0 {
            pair.now -= Duration::from_millis(1);
        }
        assert_eq!(pair.resume(&dial), expected);
    }
}

#[test]
fn r12_a_refusal_says_whether_the_dialer_may_try_again() {
    for (refusal, answered, outcome) in [
        (
            Refusal::Busy { retry_after: 250 },
            Answered::Busy { retry_after: 250 },
            None,
        ),
        (
            Refusal::Version,
            Answered::Lost(Reason::Rejected),
            Some(Outcome::Lost(Reason::Rejected)),
        ),
        (
            Refusal::Lost(Reason::Evicted.code()),
            Answered::Lost(Reason::Evicted),
            Some(Outcome::Lost(Reason::Evicted)),
        ),
        (
            Refusal::Lost(0x3f),
            Answered::Lost(Reason::Rejected),
            Some(Outcome::Lost(Reason::Rejected)),
        ),
    ] {
        let mut pair = Pair::new();
        let dial = pair.dial();
        let reject = Handshake::Reject(Reject { refusal });
        assert_eq!(pair.answer(&dial, &reject), Ok(answered));
        assert_eq!(pair.dialer.core.outcome(), outcome);
        assert_eq!(pair.dialer.core.unacknowledged(), 6);
    }
}

#[test]
fn a_session_that_was_lost_tells_its_dialer_why() {
    for reason in Reason::ALL {
        let mut pair = Pair::new();
        pair.acceptor.core.abort(reason, reason);
        let mut tombstone = pair.acceptor.tombstone().unwrap();
        for _ in 0..2 {
            let dial = pair.dial();
            assert_eq!(pair.resume(&dial), Err(lost(reason)));
            let resume = resume_of(&dial);
            assert_eq!(tombstone.handle_resume(&resume), Err(lost(reason)));
        }
    }
    assert_eq!(Pair::new().acceptor.tombstone(), None);
}

#[test]
fn an_answer_to_an_earlier_dial_or_to_no_question_is_refused() {
    let mut pair = Pair::new();
    let (first, second) = (pair.dial(), pair.dial());
    pair.resume(&first).unwrap();
    let answer = first_output(&mut pair.acceptor);
    let answered = pair.answer(&first, &answer);
    assert_eq!(answered, Err(ProtocolError::StaleConnection));
    assert_eq!(pair.answer(&second, &answer), Err(ProtocolError::BadProof));
    let welcome = Welcome {
        id: ID,
        secret: SECRET,
        limit: 0,
        time_to_live: 0,
    };
    let (limit, metadata) = (0, Vec::new());
    for other in [
        Handshake::Welcome(welcome),
        Handshake::Hello(Hello { limit, metadata }),
        Handshake::Resume(resume_of(&second)),
    ] {
        let answered = pair.answer(&second, &other);
        assert_eq!(answered, Err(ProtocolError::NotThisProtocol));
    }
    assert_eq!(pair.dialer.core.outcome(), None);
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
