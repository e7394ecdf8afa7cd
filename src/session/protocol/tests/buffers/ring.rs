//! A queue of bytes, beside one of the standard library.

use std::collections::VecDeque;

use super::*;
use crate::session::protocol::ring::Ring;

fn bytes(ring: &Ring) -> Vec<u8> {
    let (first, second) = ring.as_slices();
    [first, second].concat()
}

/// What a ring has to be like, within a capacity.
struct Model {
    ring: Ring,
    expected: VecDeque<u8>,
    most: usize,
}

impl Model {
    fn step(&mut self, random: &mut Random) {
        let room = (self.most - self.expected.len()) as u64;
        match random.below(8) {
            0..=2 => {
                let more = random.bytes(room + 1);
                self.ring.append(&more, self.most);
                self.expected.extend(more);
            }
            3..=4 if room > 0 => {
                let asked = index(random.between(1, room));
                let spare = self.ring.spare(asked, self.most);
                assert!((1..=asked).contains(&spare.len()));
                let more = random.bytes(spare.len() as u64 + 1);
                spare[..more.len()].copy_from_slice(&more);
                self.ring.extend(more.len());
                self.expected.extend(more);
            }
            3..=6 => {
                let n = index(random.between(0, self.expected.len() as u64));
                self.ring.consume(n);
                self.expected.drain(..n);
            }
            _ => self.ring.release_memory(),
        }
        assert_eq!(bytes(&self.ring), Vec::from(self.expected.clone()));
        assert_eq!(self.ring.len(), self.expected.len());
        assert!(self.ring.memory() <= self.most);
    }
}

#[test]
fn a_ring_keeps_its_bytes_in_order() {
    for seed in 0..HISTORIES {
        let mut random = Random(seed);
        let most = index(random.between(1, 60));
        let mut model = Model {
            ring: Ring::default(),
            expected: VecDeque::new(),
            most,
        };
        for _ in 0..60 {
            model.step(&mut random);
        }
    }
}

#[test]
fn rings_with_the_same_bytes_are_equal() {
    let mut one = Ring::default();
    one.append(b"..abc", 5);
    one.consume(2);
    one.append(b"d", 5);
    let mut other = Ring::default();
    other.append(b"abcd", 9);
    assert_eq!(one, other);
    other.consume(1);
    assert_ne!(one, other);
}

#[test]
fn the_memory_of_a_ring_is_doubled_up_to_its_capacity() {
    let mut ring = Ring::default();
    let mut expected = 0;
    for len in 1..=100 {
        ring.append(b"x", 100);
        if len > expected {
            expected = (2 * expected).clamp(1, 100);
        }
        assert_eq!((ring.len(), ring.memory()), (len, expected));
    }
    let mut ring = Ring::default();
    for (more, memory) in [(60, 60), (0, 60), (7, 120), (53, 120), (30, 150)] {
        ring.append(&vec![1; more], 150);
        assert_eq!(ring.memory(), memory);
    }
    ring.release_memory();
    assert_eq!(ring.len(), 150, "what is there stays");
    ring.consume(150);
    ring.release_memory();
    assert_eq!(ring.memory(), 0);
}
