//! The test vectors of `docs/protocol.md` are what this crate sends, byte for byte.

use std::collections::BTreeMap;

use super::frames::encode;
use super::handshakes::{SECRET, resume, resumed};
use crate::session::protocol::frame::Frame;
use crate::session::protocol::handshake::{
    Handshake, Hello, Refusal, Reject, Resume, Resumed, Welcome,
};
use crate::session::protocol::proof::SessionId;

/// The vectors of the page: the title of each, and its bytes.
fn listed() -> BTreeMap<String, Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/protocol.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let (_, vectors) = page.split_once("## Test vectors").expect("a section");
    let (_, vectors) = vectors.split_once("```text\n").expect("a block");
    let (vectors, _) = vectors.split_once("```").expect("its end");
    let mut listed = BTreeMap::new();
    let mut title = String::new();
    for line in vectors.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("  ") {
            Some(hex) => listed
                .entry(title.clone())
                .or_insert_with(Vec::new)
                .extend(bytes(hex)),
            None => title = line.to_owned(),
        }
    }
    listed
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let pairs = digits.chunks(2).map(String::from_iter);
    pairs
        .map(|pair| u8::from_str_radix(&pair, 16).expect("hexadecimal digits"))
        .collect()
}

fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let data = Frame::Data {
        offset: 258,
        len: 5,
    };
    let received = 4_294_967_296;
    let limit = received + 1_048_576;
    vec![
        (
            "DATA offset=258 payload=\"hello\"",
            [&encode(data), &b"hello"[..]].concat(),
        ),
        (
            "ACK received=4294967296 limit=4296015872",
            encode(Frame::Ack { received, limit }),
        ),
        ("FIN offset=263", encode(Frame::Fin { offset: 263 })),
        ("PING token=7", encode(Frame::Ping { token: 7 })),
        ("PONG token=7", encode(Frame::Pong { token: 7 })),
        ("RESET reason=3", encode(Frame::Reset { code: 3 })),
        ("DONE", encode(Frame::Done)),
    ]
}

fn handshakes() -> Vec<(&'static str, Handshake)> {
    let hello = |metadata: &[u8]| {
        Handshake::Hello(Hello {
            limit: 1_048_576,
            metadata: metadata.to_vec(),
        })
    };
    let welcome = Welcome {
        id: SessionId([0x1d; 16]),
        secret: SECRET,
        limit: 1_048_576,
        time_to_live: 120_000,
    };
    let complete = Resumed {
        is_complete: true,
        ..resumed()
    };
    let reject = |refusal| Handshake::Reject(Reject { refusal });
    vec![
        ("HELLO limit=1048576", hello(b"")),
        ("HELLO limit=1048576 metadata=\"user=7\"", hello(b"user=7")),
        (
            "WELCOME id=1d.. secret=5e.. limit=1048576 time-to-live=120000",
            Handshake::Welcome(welcome),
        ),
        (
            "RESUME id=1d.. epoch=2 received=300 limit=1048576 nonce=a5..",
            Handshake::Resume(resume()),
        ),
        (
            "RESUMED epoch=2 received=1000 limit=5000, the answer to that RESUME",
            Handshake::Resumed(resumed()),
        ),
        (
            "RESUMED epoch=2 received=1000 limit=5000 complete, the answer to that RESUME",
            Handshake::Resumed(complete.prove(&SECRET, &resume())),
        ),
        (
            "REJECT busy, again after 250 ms",
            reject(Refusal::Busy { retry_after: 250 }),
        ),
        ("REJECT version", reject(Refusal::Version)),
        ("REJECT reason=1", reject(Refusal::Lost(1))),
    ]
}

#[test]
fn the_vectors_of_the_page_are_what_is_sent() {
    let mut expected = BTreeMap::new();
    for (title, bytes) in frames() {
        expected.insert(title.to_owned(), bytes);
    }
    for (title, message) in handshakes() {
        let bytes = message.encode();
        let decoded = Handshake::decode(&bytes);
        assert_eq!(decoded, Ok(Some((message, bytes.len()))), "{title}");
        expected.insert(title.to_owned(), bytes);
    }
    let listed = listed();
    for (title, bytes) in &expected {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(listed.get(title) == Some(bytes), "{title}\n  {hex}");
    }
    assert_eq!(listed.len(), expected.len(), "the page lists no other ones");
}

#[test]
fn a_proof_is_computed_as_the_page_says() {
    // HMAC-SHA256, by hand: RFC 2104 with blocks of 64 bytes.
    use sha2::{Digest, Sha256};
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(SECRET.0).for_each(|(b, s)| *b ^= s);
        block
    };
    let question: Resume = resume();
    let message = Handshake::Resume(question).encode();
    let body = &message[3..message.len() - 32];
    let mut inner = Sha256::new();
    inner.update(pad(0x36));
    inner.update(b"reconnecting-stream session 1 dialer");
    inner.update(body);
    let mut outer = Sha256::new();
    outer.update(pad(0x5c));
    outer.update(inner.finalize());
    assert_eq!(outer.finalize()[..], question.proof);
}
