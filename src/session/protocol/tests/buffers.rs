//! The two buffers beside models of them: the whole stream and a few numbers.

mod receive;
mod send;

use std::collections::VecDeque;

use super::random::Random;
use crate::session::protocol::buffer;

/// How many histories each property is checked in.
const HISTORIES: u64 = 2_000;

/// The streams of the tests.
fn byte(offset: usize) -> u8 {
    offset.to_le_bytes()[0].wrapping_mul(31)
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a short stream")
}

#[test]
fn the_memory_of_a_buffer_is_doubled_up_to_its_capacity() {
    let mut bytes = VecDeque::new();
    let mut expected = 0;
    for len in 1..=100 {
        buffer::append(&mut bytes, b"x", 100);
        if len > expected {
            expected = (2 * expected).clamp(1, 100);
        }
        assert_eq!((bytes.len(), bytes.capacity()), (len, expected));
    }
    let mut bytes = VecDeque::new();
    for (more, capacity) in [(60, 60), (0, 60), (7, 120), (53, 120), (30, 150)] {
        buffer::append(&mut bytes, &vec![1; more], 150);
        assert_eq!(bytes.capacity(), capacity);
    }
    buffer::release_memory(&mut bytes);
    assert_eq!(bytes.len(), 150, "what is there stays");
    bytes.clear();
    buffer::release_memory(&mut bytes);
    assert_eq!(bytes.capacity(), 0);
}
