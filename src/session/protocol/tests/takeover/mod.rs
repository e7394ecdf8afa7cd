//! How a session moves from one connection to the next: proofs, epochs and answers.

mod moving;
mod offsets;
mod refusals;

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

/// The handshake message that the acceptor writes first. What follows it is not written.
fn first_output(acceptor: &mut Acceptor) -> Handshake {
    let output = acceptor.core.poll_transmit().expect("an answer");
    let (message, len) = Handshake::decode(output.slices[0]).unwrap().unwrap();
    acceptor.core.advance(len);
    message
}

fn lost(reason: Reason) -> Reject {
    let refusal = Refusal::Lost(reason.code());
    Reject { refusal }
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
