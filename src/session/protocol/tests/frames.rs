//! Frames, as bytes.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use proptest::prelude::*;

use crate::session::protocol::decoder::{Decoder, Piece};
use crate::session::protocol::error::ProtocolError;
use crate::session::protocol::frame::{DATA_HEADER, Frame, Head, MAX_PAYLOAD};

/// A frame, or a part of a payload, that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owned {
    Frame(Frame),
    Payload(Vec<u8>),
}

/// Decodes everything, in pieces of these lengths. The payload of a frame is put together again.
pub(super) fn decode(bytes: &[u8], chunk: usize) -> Result<Vec<Owned>, ProtocolError> {
    let mut decoder = Decoder::default();
    let mut pieces = Vec::new();
    for mut part in bytes.chunks(chunk) {
        while let Some(piece) = decoder.next(&mut part)? {
            match (piece, pieces.last_mut()) {
                (Piece::Frame(frame), _) => pieces.push(Owned::Frame(frame)),
                (Piece::Payload(more), Some(Owned::Payload(payload))) => payload.extend(more),
                (Piece::Payload(more), _) => pieces.push(Owned::Payload(more.to_vec())),
            }
        }
        assert!(part.is_empty(), "everything is taken");
    }
    Ok(pieces)
}

pub(super) fn encode(frame: Frame) -> Vec<u8> {
    let mut head = Head::EMPTY;
    frame.encode(&mut head);
    head.as_slice().to_vec()
}

pub(super) const FRAMES: [Frame; 7] = [
    Frame::Data {
        offset: 0x0102_0304_0506_0708,
        len: 3,
    },
    Frame::Ack {
        received: 1 << 32,
        limit: u64::MAX,
    },
    Frame::Fin { offset: u64::MAX },
    Frame::Ping { token: 7 },
    Frame::Pong { token: 0 },
    Frame::Reset { code: 3 },
    Frame::Done,
];

/// Every frame, the first one with its payload.
fn stream() -> (Vec<u8>, Vec<Owned>) {
    let (mut bytes, mut pieces) = (Vec::new(), Vec::new());
    for frame in FRAMES {
        bytes.extend(encode(frame));
        pieces.push(Owned::Frame(frame));
        if let Frame::Data { .. } = frame {
            bytes.extend(b"abc");
            pieces.push(Owned::Payload(b"abc".to_vec()));
        }
    }
    (bytes, pieces)
}

#[test]
fn frames_are_decoded_however_their_bytes_are_cut() {
    let (bytes, pieces) = stream();
    for chunk in 1..=bytes.len() {
        assert_eq!(decode(&bytes, chunk).unwrap(), pieces, "chunks of {chunk}");
    }
}

#[test]
fn heads_with_the_same_frames_are_equal_whatever_was_there_before() {
    let head = |frames: &[Frame]| {
        let mut head = Head::EMPTY;
        frames.iter().for_each(|frame| frame.encode(&mut head));
        head
    };
    let hash = |head: &Head| BuildHasherDefault::<DefaultHasher>::default().hash_one(head);
    let mut used = head(&FRAMES);
    used.clear();
    assert_eq!((used, hash(&used)), (Head::EMPTY, hash(&Head::EMPTY)));
    let [ping, done] = [Frame::Ping { token: 7 }, Frame::Done].map(|frame| head(&[frame]));
    assert_ne!(ping, done);
    assert_ne!(hash(&ping), hash(&done));
}

#[test]
fn one_frame_of_each_kind_fits_into_a_head() {
    let mut head = Head::EMPTY;
    for frame in FRAMES {
        frame.encode(&mut head);
    }
    assert!(head.len() <= Head::CAPACITY);
}

#[test]
fn a_data_frame_with_its_header_stays_below_the_largest_segment_of_loopback() {
    let loopback = 65_483;
    assert_eq!(MAX_PAYLOAD, 65_280, "as docs/protocol.md says");
    // What goes into one write with a payload, in four records of TLS 1.3 (RFC 8446, section 5.2).
    let (offset, len) = (0, MAX_PAYLOAD);
    let ack = Frame::Ack {
        received: 0,
        limit: 0,
    };
    let [ping, pong] = [Frame::Ping { token: 0 }, Frame::Pong { token: 0 }];
    let data = Frame::Data { offset, len };
    assert_eq!(encode(data).len(), DATA_HEADER);
    let before = [ack, pong, ping, data].map(|frame| encode(frame).len());
    let tls = 4 * (5 + 1 + 16);
    assert!(before.iter().sum::<usize>() + MAX_PAYLOAD + tls <= loopback);
}

#[test]
fn a_frame_that_is_not_known_is_skipped_if_its_type_says_so() {
    let (bytes, pieces) = stream();
    for len in [0_u16, 1, 300, u16::MAX] {
        let [high, low] = len.to_be_bytes();
        let mut skipped = vec![0x80, high, low];
        skipped.resize(3 + usize::from(len), 0x10);
        let all = [&skipped[..], &bytes, &skipped, &bytes].concat();
        let expected = [&pieces[..], &pieces].concat();
        for chunk in [1, 2, 7, 1000, all.len()] {
            assert_eq!(decode(&all, chunk).unwrap(), expected);
        }
    }
}

#[test]
fn a_frame_that_is_not_known_and_may_not_be_skipped_is_an_error() {
    for kind in (0..0x10).chain(0x17..0x80) {
        let decoded = decode(&[kind, 0, 0], 1);
        assert_eq!(decoded, Err(ProtocolError::UnknownFrame(kind)));
    }
}

#[test]
fn a_frame_that_is_too_short_or_too_long_is_an_error() {
    let longest = 8 + MAX_PAYLOAD;
    for (kind, len) in [
        (0x10, 7),
        (0x10, longest + 1),
        (0x11, 15),
        (0x12, 7),
        (0x13, 0),
        (0x14, 7),
        (0x15, 0),
    ] {
        let [high, low] = u16::try_from(len).unwrap().to_be_bytes();
        let decoded = decode(&[kind, high, low], 3);
        assert_eq!(decoded, Err(ProtocolError::FrameLength { kind, len }));
    }
}

#[test]
fn bytes_behind_the_known_fields_of_a_frame_are_ignored() {
    for frame in FRAMES {
        if matches!(frame, Frame::Data { .. }) {
            continue;
        }
        let mut bytes = encode(frame);
        bytes.extend([0x10; 40]);
        bytes[2] += 40;
        bytes.extend(encode(Frame::Done));
        let expected = [Owned::Frame(frame), Owned::Frame(Frame::Done)];
        for chunk in 1..bytes.len() {
            assert_eq!(decode(&bytes, chunk).unwrap(), expected);
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_frames_or_an_error_in_whatever_parts_they_come(
        bytes in proptest::collection::vec(any::<u8>(), 1..300),
        chunk in 1..40_usize,
    ) {
        let whole = decode(&bytes, bytes.len());
        prop_assert_eq!(decode(&bytes, chunk), whole);
    }
}
