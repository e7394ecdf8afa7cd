//! The two buffers beside models of them: the whole stream and a few numbers.

mod receive;
mod ring;
mod send;

use super::random::Random;

/// How many histories each property is checked in.
const HISTORIES: u64 = 2_000;

/// The streams of the tests.
fn byte(offset: usize) -> u8 {
    offset.to_le_bytes()[0].wrapping_mul(31)
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a short stream")
}
