//! Offsets, tombstones and expiry at a resume: R8, R9, R10.

use super::*;

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
    for dial in [dial, pair.dial()] {
        let forged = resume_of(&dial).prove(&Secret([0; 32]));
        let refused = tombstone.handle_resume(&forged);
        assert_eq!(refused, Err(lost(Reason::Rejected)));
    }
}

#[test]
fn a_dialer_stops_to_tell_its_loss_when_it_learns_how_the_session_has_ended() {
    for (tells, is_told) in [(0, true), (1, true), (2, false)] {
        let mut pair = Pair::new();
        pair.dialer.core.finish();
        let mut tombstone = complete(&mut pair);
        pair.dialer.core.abort(Reason::Closed, Reason::Closed);
        let dial = pair.dial();
        assert!(pair.dialer.core.is_reset_untold());
        let refusal = match tells {
            1 => Refusal::Lost(Reason::PeerReset.code()),
            _ => Refusal::Busy { retry_after: 1 },
        };
        let answer = match tells {
            0 => Handshake::Resumed(tombstone.handle_resume(&resume_of(&dial)).unwrap()),
            _ => Handshake::Reject(Reject { refusal }),
        };
        pair.answer(&dial, &answer).unwrap();
        assert_eq!(pair.dialer.core.is_reset_untold(), !is_told, "{answer:?}");
        let outcome = Some(Outcome::Lost(Reason::Closed));
        assert_eq!(pair.dialer.core.outcome(), outcome, "it was lost before");
    }
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
fn r10_both_ends_keep_a_detached_session_for_the_time_of_the_acceptor() {
    let now = Instant::now();
    let options = Options {
        time_to_live: Duration::from_millis(1234),
        ..Options::default()
    };
    let mut dialer = Dialer::new(Options::default(), Vec::new());
    let dial = dialer.dial(now, NONCE);
    let Handshake::Hello(hello) = message(&dial.message) else {
        panic!("a HELLO");
    };
    let mut acceptor = Acceptor::new(now, options, &hello, (ID, SECRET));
    let welcome = first_output(&mut acceptor);
    dialer.handle_answer(now, &dial, &welcome).unwrap();
    for core in [&mut dialer.core, &mut acceptor.core] {
        core.detach(now);
        assert_eq!(core.poll_timeout(), Some(now + options.time_to_live));
    }
}

#[test]
fn a_time_to_live_that_is_too_long_for_a_welcome_is_told_as_the_longest() {
    for (time_to_live, told) in [(Duration::from_millis(5), 5), (Duration::MAX, u32::MAX)] {
        let options = Options {
            time_to_live,
            ..Options::default()
        };
        assert_eq!(options.time_to_live_millis(), told);
    }
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
