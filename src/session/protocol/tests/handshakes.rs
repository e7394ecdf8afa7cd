//! Handshake messages, as bytes.

use proptest::prelude::*;

use crate::session::protocol::error::{ProtocolError, Reason};
use crate::session::protocol::handshake::{
    Handshake, Hello, MAX_HANDSHAKE, MAX_METADATA, Refusal, Reject, Resume, Resumed, Welcome,
};
use crate::session::protocol::proof::{PROOF, Prover, Secret, SessionId};

pub(super) const SECRET: Secret = Secret([0x5e; 32]);

pub(super) fn resume() -> Resume {
    Resume {
        id: SessionId([0x1d; 16]),
        epoch: 2,
        received: 300,
        limit: 1 << 20,
        nonce: [0xa5; 16],
        proof: [0; PROOF],
    }
    .prove(&SECRET)
}

pub(super) fn resumed() -> Resumed {
    Resumed {
        epoch: 2,
        received: 1000,
        limit: 5000,
        is_complete: false,
        proof: [0; PROOF],
    }
    .prove(&SECRET, &resume())
}

pub(super) fn messages() -> Vec<Handshake> {
    let hello = |metadata: &[u8]| {
        Handshake::Hello(Hello {
            limit: 1 << 20,
            metadata: metadata.to_vec(),
        })
    };
    let reject = |refusal| Handshake::Reject(Reject { refusal });
    vec![
        hello(b""),
        hello(b"user=7"),
        hello(&[b'm'; MAX_METADATA]),
        Handshake::Welcome(Welcome {
            id: SessionId([0x1d; 16]),
            secret: SECRET,
            limit: 1 << 20,
            time_to_live: 120_000,
        }),
        Handshake::Resume(resume()),
        Handshake::Resumed(resumed()),
        Handshake::Resumed(Resumed {
            is_complete: true,
            ..resumed()
        }),
        reject(Refusal::Busy { retry_after: 250 }),
        reject(Refusal::Version),
        reject(Refusal::Lost(Reason::Expired.code())),
    ]
}

#[test]
fn a_message_is_decoded_once_it_is_whole_and_what_follows_is_left() {
    for message in messages() {
        let bytes = message.encode();
        for len in 0..bytes.len() {
            assert_eq!(Handshake::decode(&bytes[..len]), Ok(None), "{message:?}");
        }
        let more = [&bytes[..], b"frames"].concat();
        let expected = Ok(Some((message, bytes.len())));
        assert_eq!(Handshake::decode(&more), expected);
    }
}

#[test]
fn what_is_no_message_is_refused_at_its_first_byte() {
    for kind in (0..=u8::MAX).filter(|kind| !(1..=5).contains(kind)) {
        let decoded = Handshake::decode(&[kind]);
        assert_eq!(decoded, Err(ProtocolError::NotThisProtocol));
    }
    for text in ["GET / HTTP/1.1\r\n", "SSH-2.0-x\r\n", "\u{1}\0\u{20}xyz"] {
        let decoded = Handshake::decode(text.as_bytes());
        assert_eq!(decoded, Err(ProtocolError::NotThisProtocol), "{text}");
    }
}

#[test]
fn an_incompatible_version_is_told_apart_from_another_protocol() {
    for kind in [0x01, 0x03] {
        let decoded = Handshake::decode(&[kind, 0, 40, b'R', b'S', b'S', b'2']);
        assert_eq!(decoded, Err(ProtocolError::OtherVersion));
    }
}

#[test]
fn a_message_that_is_too_long_is_refused_by_its_header() {
    for (kind, most) in [
        (1, MAX_HANDSHAKE + MAX_METADATA),
        (2, MAX_HANDSHAKE),
        (3, MAX_HANDSHAKE),
        (4, MAX_HANDSHAKE),
        (5, MAX_HANDSHAKE),
    ] {
        let header = |len: usize| {
            let [high, low] = u16::try_from(len).unwrap().to_be_bytes();
            [kind, high, low]
        };
        assert_eq!(Handshake::decode(&header(most)), Ok(None));
        let decoded = Handshake::decode(&header(most + 1));
        assert_eq!(decoded, Err(ProtocolError::MalformedHandshake(kind)));
    }
}

#[test]
fn a_message_that_is_shorter_than_its_fields_or_longer_is_malformed() {
    for message in messages() {
        let bytes = message.encode();
        let kind = bytes[0];
        let len = u16::from_be_bytes([bytes[1], bytes[2]]);
        for wrong in [len - 1, len + 1, 4] {
            let [high, low] = wrong.to_be_bytes();
            let mut bytes = bytes.clone();
            (bytes[1], bytes[2]) = (high, low);
            bytes.resize(3 + usize::from(wrong), 0);
            let decoded = Handshake::decode(&bytes);
            assert_eq!(decoded, Err(ProtocolError::MalformedHandshake(kind)));
        }
    }
}

#[test]
fn a_later_version_may_add_fields_to_hello_and_reject() {
    for message in messages() {
        let mut bytes = message.encode();
        let at = if matches!(bytes[0], 1 | 3) { 7 } else { 3 };
        bytes[at] = 2;
        let len = u16::from_be_bytes([bytes[1], bytes[2]]) + 5;
        [bytes[1], bytes[2]] = len.to_be_bytes();
        bytes.extend([9; 5]);
        let expected = match message {
            Handshake::Hello(_) | Handshake::Reject(_) => Ok(Some((message, bytes.len()))),
            _ => Err(ProtocolError::MalformedHandshake(bytes[0])),
        };
        assert_eq!(Handshake::decode(&bytes), expected);
        bytes[at] = 0;
        let decoded = Handshake::decode(&bytes);
        assert_eq!(decoded, Err(ProtocolError::MalformedHandshake(bytes[0])));
    }
}

#[test]
fn a_code_that_is_not_known_is_no_other_one() {
    for code in (0..=u8::MAX).filter(|code| !matches!(code, 0x40 | 0x41)) {
        let bytes = [5, 0, 6, 1, code, 0, 0, 0, 9];
        let refusal = Refusal::Lost(code);
        let decoded = Handshake::decode(&bytes);
        assert_eq!(
            decoded,
            Ok(Some((Handshake::Reject(Reject { refusal }), 9)))
        );
        assert_eq!(
            Reason::from_code(code).code(),
            if (1..8).contains(&code) { code } else { 2 }
        );
    }
}

#[test]
fn metadata_beyond_its_bound_is_cut_off_by_the_sender_and_refused_by_the_receiver() {
    let limit = 0;
    let metadata = vec![b'm'; MAX_METADATA + 100];
    let mut bytes = Hello { limit, metadata }.encode();
    let decoded = Handshake::decode(&bytes).unwrap().unwrap().0;
    let metadata = vec![b'm'; MAX_METADATA];
    assert_eq!(decoded, Handshake::Hello(Hello { limit, metadata }));
    // One byte more, in all three lengths.
    bytes.push(b'm');
    for at in [1, 16] {
        let len = u16::from_be_bytes([bytes[at], bytes[at + 1]]) + 1;
        [bytes[at], bytes[at + 1]] = len.to_be_bytes();
    }
    let decoded = Handshake::decode(&bytes);
    assert_eq!(decoded, Err(ProtocolError::MalformedHandshake(1)));
}

#[test]
fn a_proof_covers_every_bit_of_the_message() {
    let bytes = Handshake::Resume(resume()).encode();
    for bit in 8 * 8..8 * bytes.len() {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Some((Handshake::Resume(forged), _)) = Handshake::decode(&bytes).unwrap() else {
            panic!("bit {bit}");
        };
        assert!(!forged.is_proven_by(&SECRET), "bit {bit}");
    }
    assert!(resume().is_proven_by(&SECRET));
    assert!(!resume().is_proven_by(&Secret([0; 32])));
}

#[test]
fn the_proof_of_an_answer_covers_the_answer_and_the_question() {
    let (question, answer) = (resume(), resumed());
    assert!(answer.is_proven_by(&SECRET, &question));
    assert!(!answer.is_proven_by(&Secret([0; 32]), &question));
    let bytes = Handshake::Resumed(answer).encode();
    for bit in 8 * 4..8 * bytes.len() {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        match Handshake::decode(&bytes) {
            Ok(Some((Handshake::Resumed(forged), _))) => {
                assert!(!forged.is_proven_by(&SECRET, &question), "bit {bit}");
            }
            // A flag that is not known.
            decoded => assert_eq!(decoded, Err(ProtocolError::MalformedHandshake(4))),
        }
    }
    let others = [
        Resume {
            nonce: [0; 16],
            ..question
        },
        Resume {
            epoch: 3,
            ..question
        },
        Resume {
            received: 301,
            ..question
        },
    ];
    for other in others {
        assert!(!answer.is_proven_by(&SECRET, &other));
    }
}

#[test]
fn a_proof_of_one_side_is_none_of_the_other() {
    let transcript: [&[u8]; 1] = [b"the same"];
    let proof = SECRET.prove(Prover::Dialer, &transcript);
    assert!(SECRET.verify(Prover::Dialer, &transcript, &proof));
    assert!(!SECRET.verify(Prover::Acceptor, &transcript, &proof));
}

#[test]
fn a_secret_is_not_shown_by_debug() {
    assert_eq!(format!("{:?}", Secret([0x5e; 32])), "Secret(..)");
    let id = SessionId([0x1d; 16]);
    assert_eq!(id.to_string(), "1d".repeat(16));
    assert_eq!(format!("{id:?}"), id.to_string());
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_a_message_or_an_error_and_never_more_than_a_bound_is_kept(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        kind in 1..=5_u8,
    ) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = kind;
        }
        match Handshake::decode(&bytes) {
            Ok(None) => prop_assert!(bytes.len() < 3 + MAX_HANDSHAKE + MAX_METADATA),
            Ok(Some((_, len))) => prop_assert!(len <= bytes.len()),
            Err(_) => {}
        }
    }
}
