//! Messages that tell their number, and show if they were torn.

use bytes::BytesMut;

use crate::framed::send_buffer::{Durability, Resend, SendBuffer, WrittenRange};

/// The length that a message has at least, unless it has no bytes at all.
const HEADER: usize = 3;

/// Returns the bytes of a message: its length, its number, and a filling. None if `len` is 0.
pub(super) fn message(number: u16, len: usize) -> Vec<u8> {
    if len == 0 {
        return Vec::new();
    }
    let len = len.max(HEADER);
    let mut bytes = vec![u8::try_from(len).expect("a short message")];
    bytes.extend(number.to_be_bytes());
    bytes.resize(len, number.to_le_bytes()[0]);
    bytes
}

/// What a connection was sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arrived {
    /// The numbers of the whole messages.
    pub(super) whole: Vec<u16>,
    /// The length of a last one that was cut.
    pub(super) cut: usize,
}

/// Splits what a connection was sent. Panics at a message that was torn, unless it is the last
/// one.
pub(super) fn parse(mut bytes: &[u8]) -> Arrived {
    let mut whole = Vec::new();
    while let Some(&len) = bytes.first() {
        let Some((first, rest)) = bytes.split_at_checked(usize::from(len)) else {
            break;
        };
        let number = u16::from_be_bytes([first[1], first[2]]);
        assert_eq!(first, message(number, first.len()), "a torn message");
        whole.push(number);
        bytes = rest;
    }
    Arrived {
        whole,
        cut: bytes.len(),
    }
}

pub(super) fn unconfirmed(max_bytes: usize) -> Resend {
    Resend::Unconfirmed { max_bytes }
}

/// Returns a buffer on its first connection.
pub(super) fn connected(resend: Resend, max_queued: usize) -> SendBuffer {
    let mut buffer = SendBuffer::new(resend, max_queued);
    buffer.begin_connection();
    buffer
}

pub(super) fn push(buffer: &mut SendBuffer, durability: Durability, number: u16, len: usize) {
    let encode = |bytes: &mut BytesMut| {
        bytes.extend_from_slice(&message(number, len));
        Ok::<(), ()>(())
    };
    buffer.push(durability, encode).expect("it is encoded");
}

/// Accepts durable messages of 10 bytes.
pub(super) fn push_all(buffer: &mut SendBuffer, numbers: impl IntoIterator<Item = u16>) {
    for number in numbers {
        push(buffer, Durability::Durable, number, 10);
    }
}

/// The connection takes this many bytes. Returns them.
pub(super) fn take(buffer: &mut SendBuffer, n: usize) -> Vec<u8> {
    let taken = buffer.unwritten()[..n].to_vec();
    buffer.advance(n);
    taken
}

/// The connection takes everything, and is flushed. Returns the numbers of the messages.
pub(super) fn take_all(buffer: &mut SendBuffer) -> Vec<u16> {
    let taken = buffer.unwritten().to_vec();
    if !taken.is_empty() {
        buffer.advance(taken.len());
    }
    buffer.on_flushed();
    let arrived = parse(&taken);
    assert_eq!(arrived.cut, 0, "the rest is whole");
    arrived.whole
}

/// The connection is lost, and replaced.
pub(super) fn replace_connection(buffer: &mut SendBuffer) {
    buffer.end_connection(true);
    buffer.begin_connection();
}

pub(super) fn range(start: u64, end: u64) -> WrittenRange {
    WrittenRange { start, end }
}
