//! What is refused, and what that changes: R6, R7, R12.

use super::*;

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
        // The proof is checked before the epoch.
        Resume {
            proof: [0; 32],
            ..resume_of(&dial)
        },
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
            // Only a dialer that proves itself is told.
            let forged = resume.prove(&Secret([0; 32]));
            let rejected = Err(lost(Reason::Rejected));
            assert_eq!(tombstone.handle_resume(&forged).map(drop), rejected);
            let refused = pair.acceptor.handle_resume(pair.now, &forged);
            assert_eq!(refused.map(drop), rejected);
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
