//! Work to be counted under callgrind, the difference of two numbers of rounds:
//!
//! ```text
//! ROUNDS=1000 valgrind --tool=callgrind TEST_BINARY session::protocol::tests::cost::NAME
//! ```

use std::hint::black_box;
use std::time::Instant;

use crate::session::protocol::core::{Core, Role};
use crate::session::protocol::frame::MAX_PAYLOAD;
use crate::session::protocol::options::Options;

fn rounds() -> usize {
    std::env::var("ROUNDS").map_or(10, |rounds| rounds.parse().expect("a number"))
}

/// Two ends that are attached to each other.
fn pair(now: Instant) -> [Core; 2] {
    [Role::Dialer, Role::Acceptor].map(|role| {
        let mut core = Core::new(role, Options::default());
        core.attach(now, 1, (0, 1 << 20), &[]).unwrap();
        core
    })
}

/// Moves everything that `from` has to write.
fn carry(from: &mut Core, to: &mut Core, now: Instant) {
    while let Some(transmit) = from.poll_transmit() {
        let mut n = 0;
        for slice in transmit.slices {
            to.handle_input(now, 1, slice).unwrap();
            n += slice.len();
        }
        from.advance(n);
    }
}

#[test]
fn a_payload_of_the_longest_frame_is_carried_and_acknowledged() {
    let now = Instant::now();
    let [mut from, mut to] = pair(now);
    let (payload, mut into) = (vec![7_u8; MAX_PAYLOAD], vec![0_u8; MAX_PAYLOAD]);
    for _ in 0..rounds() {
        assert_eq!(from.write(black_box(&payload)), MAX_PAYLOAD);
        carry(&mut from, &mut to, now);
        assert_eq!(to.read(black_box(&mut into)), MAX_PAYLOAD);
        carry(&mut to, &mut from, now);
    }
}

#[test]
fn a_payload_is_copied_as_often_as_a_session_copies_it() {
    let (payload, mut into) = (vec![7_u8; MAX_PAYLOAD], vec![0_u8; MAX_PAYLOAD]);
    let (mut sending, mut receiving) = (vec![0_u8; MAX_PAYLOAD], vec![0_u8; MAX_PAYLOAD]);
    for _ in 0..rounds() {
        sending.copy_from_slice(black_box(&payload));
        receiving.copy_from_slice(black_box(&sending));
        into.copy_from_slice(black_box(&receiving));
        black_box(&mut into);
    }
}

#[test]
fn a_short_write_is_kept() {
    let now = Instant::now();
    let mut core = Core::new(
        Role::Dialer,
        Options {
            send_buffer: 1 << 20,
            ..Options::default()
        },
    );
    core.attach(now, 1, (0, 1 << 20), &[]).unwrap();
    core.write(&vec![1; 1 << 20]);
    core.detach(now);
    // The buffer has its size; now it is empty.
    core.attach(now, 1, (0, 1 << 20), &[]).unwrap();
    while let Some(transmit) = core.poll_transmit() {
        let n = transmit.slices.iter().map(|slice| slice.len()).sum();
        core.advance(n);
    }
    let received = core.send().written();
    core.detach(now);
    core.attach(now, 1, (received, 1 << 21), &[]).unwrap();
    let rounds = rounds().min(16_000);
    for _ in 0..rounds {
        assert_eq!(core.write(black_box(&[1; 64])), 64);
    }
}
