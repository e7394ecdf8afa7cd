//! What a payload and a write cost, in instructions. Only a release build counts them:
//!
//! ```text
//! cargo test --release --features session --lib cost -- --nocapture
//! ```

use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use crate::session::protocol::core::{Core, Role};
use crate::session::protocol::frame::MAX_PAYLOAD;
use crate::session::protocol::options::Options;

/// How many rounds of work a process does that is counted.
const ROUNDS: &str = "ROUNDS";

fn rounds() -> usize {
    std::env::var(ROUNDS).map_or(10, |rounds| rounds.parse().expect("a number"))
}

/// Returns the instructions of one round of a test of this file, counted by `valgrind`. `None` in a
/// debug build, and without that program.
fn count(test: &str) -> Option<u64> {
    if cfg!(debug_assertions) {
        return None;
    }
    let [fewer, more] = [100, 1100];
    Some((count_run(test, more)? - count_run(test, fewer)?) / (more - fewer))
}

fn count_run(test: &str, rounds: u64) -> Option<u64> {
    let (_, module) = module_path!().split_once("::").expect("a crate");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", &format!("{module}::{test}"), "--test-threads=1"])
        .env(ROUNDS, rounds.to_string())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if std::env::var_os("REQUIRE_PROGRAMS").is_none() => {
            println!("SKIPPED: valgrind can't be run: {error}");
            return None;
        }
        Err(error) => panic!("valgrind can't be run: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let (_, count) = said.split_once("Collected : ").expect("a count");
    count.lines().next()?.trim().parse().ok()
}

#[test]
fn a_payload_costs_a_thousand_instructions_at_most_beside_its_copies() {
    let carried = count("a_payload_of_the_longest_frame_is_carried_and_acknowledged");
    let copied = count("a_payload_is_copied_as_often_as_a_session_copies_it");
    if let (Some(carried), Some(copied)) = (carried, copied) {
        let beside = carried - copied;
        println!("a payload: {beside} instructions beside {copied} of its copies");
        assert!(beside <= 1000, "{beside} instructions");
    }
}

#[test]
fn a_short_write_costs_a_hundred_and_fifty_instructions_at_most() {
    if let Some(count) = count("a_short_write_is_kept") {
        println!("a write of 64 bytes: {count} instructions");
        assert!(count <= 150, "{count} instructions");
    }
}

/// Two ends that are attached to each other.
fn pair(now: Instant) -> [Core; 2] {
    [Role::Dialer, Role::Acceptor].map(|role| {
        let mut core = Core::new(role, Options::default());
        core.attach(now, 1, (0, 1 << 20), &[]).unwrap();
        core
    })
}

/// Moves everything that `from` has to write, as a driver does.
fn carry(from: &mut Core, to: &mut Core, now: Instant) {
    while let Some(transmit) = from.poll_transmit() {
        let n = each(&transmit.slices, |slice| match to.space(1) {
            Some(space) => {
                space.copy_from_slice(slice);
                to.on_read(now, slice.len());
            }
            None => to.handle_input(now, 1, slice).unwrap(),
        });
        from.advance(n);
    }
}

/// Calls `f` with each slice that has bytes, and returns how many there are.
fn each<'a>(slices: &[&'a [u8]; 3], mut f: impl FnMut(&'a [u8])) -> usize {
    let mut n = 0;
    for slice in slices {
        if !slice.is_empty() {
            f(slice);
            n += slice.len();
        }
    }
    n
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
        // What the other test does beside the session.
        black_box(&mut into);
        for slices in [[&[1; 11][..], &payload, &[]], [&[1; 19], &[], &[]]] {
            let n = each(black_box(&slices), |slice| {
                black_box(slice);
            });
            assert!(black_box(n) > 0);
        }
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
