//! Arbitrary bytes, and arbitrary orders of inputs.
//!
//! ```text
//! FUZZ_RUNS=10000000 cargo test --release --features session --lib fuzz -- --nocapture
//! ```

use std::time::{Duration, Instant};

use super::frames::{FRAMES, encode};
use super::handshakes::messages;
use crate::session::protocol::core::{Core, Outcome, Role};
use crate::session::protocol::error::Reason;
use crate::session::protocol::frame::Frame;
use crate::session::protocol::handshake::Handshake;
use crate::session::protocol::options::Options;

/// Numbers from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let len = self.below(most);
        (0..len).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// An offset: mostly near one that the end knows.
    fn offset(&mut self, core: &Core) -> u64 {
        let near = [
            0,
            core.recv().received(),
            core.recv().limit(),
            core.send().acknowledged(),
            core.send().most_sent(),
            core.send().written(),
            1 << 32,
            u64::MAX,
        ];
        let at = usize::try_from(self.below(near.len() as u64)).unwrap();
        near[at].wrapping_add(self.below(5)).wrapping_sub(2)
    }

    fn frame(&mut self, core: &Core) -> Frame {
        let at = usize::try_from(self.below(FRAMES.len() as u64)).unwrap();
        match FRAMES[at] {
            Frame::Data { .. } => Frame::Data {
                offset: self.offset(core),
                len: usize::try_from(self.below(20)).unwrap(),
            },
            Frame::Ack { .. } => Frame::Ack {
                received: self.offset(core),
                limit: self.offset(core),
            },
            Frame::Fin { .. } => Frame::Fin {
                offset: self.offset(core),
            },
            // Rare, since it ends the session.
            Frame::Reset { .. } if self.below(20) > 0 => Frame::Ping { token: 1 },
            other => other,
        }
    }
}

fn runs() -> u64 {
    std::env::var("FUZZ_RUNS").map_or(5_000, |runs| runs.parse().expect("a number"))
}

#[test]
fn arbitrary_bytes_of_a_peer_never_panic_and_keep_to_the_bounds() {
    let mut inputs = 0;
    for seed in 0..runs() {
        inputs += run(seed);
    }
    println!("{} runs, {inputs} inputs", runs());
}

/// One history of one end. Returns how many inputs it had.
fn run(seed: u64) -> u64 {
    let mut random = Random(seed);
    let role = [Role::Dialer, Role::Acceptor][usize::from(random.below(2) == 0)];
    let options = Options {
        send_buffer: 1 + usize::try_from(random.below(40)).unwrap(),
        receive_window: 1 + usize::try_from(random.below(40)).unwrap(),
        ack_after: random.below(30),
        ..Options::default()
    };
    let (mut core, mut now, mut epoch) = (Core::new(role, options), Instant::now(), 0);
    let steps = 10 + random.below(60);
    for _ in 0..steps {
        match random.below(12) {
            0..=3 => {
                let frame = random.frame(&core);
                let mut bytes = encode(frame);
                if let Frame::Data { len, .. } = frame {
                    bytes.resize(bytes.len() + len, 7);
                }
                let _ = core.handle_input(now, epoch, &bytes);
            }
            4 => {
                let bytes = random.bytes(40);
                let _ = core.handle_input(now, epoch, &bytes);
            }
            5 => {
                let bytes = random.bytes(60);
                assert!(core.write(&bytes) <= bytes.len());
            }
            6 | 7 => transmit(&mut core, &mut random),
            8 => {
                let mut into = [0; 30];
                core.read(&mut into);
            }
            9 => {
                epoch += 1;
                core.detach(now);
                let offsets = (random.offset(&core), random.offset(&core));
                let is_lost = core.outcome().is_some();
                if !is_lost && core.attach(now, epoch, offsets, &[]).is_err() {
                    let lost = Some(Outcome::Lost(Reason::Desynchronized));
                    assert_eq!(core.outcome(), lost);
                }
            }
            10 => {
                now += Duration::from_millis(random.below(30_000));
                if !core.handle_timeout(now) {
                    core.detach(now);
                }
            }
            _ => match random.below(20) {
                0 => core.abort(Reason::Closed, Reason::PeerReset),
                1 => core.finish(),
                _ => core.release_memory(),
            },
        }
        assert!(core.send().unacknowledged() <= options.send_buffer);
        assert!(core.recv().unread() <= options.receive_window);
        let _ = (core.poll_timeout(), core.is_flushed(), core.is_closing());
    }
    steps
}

fn transmit(core: &mut Core, random: &mut Random) {
    for _ in 0..10 {
        let Some(transmit) = core.poll_transmit() else {
            return;
        };
        let len: usize = transmit.slices.iter().map(|slice| slice.len()).sum();
        assert!(len > 0, "nothing to write is None");
        let n = random.below(len as u64 + 1);
        core.advance(usize::try_from(n).unwrap());
    }
}

#[test]
fn arbitrary_changes_of_a_handshake_never_panic_and_never_pass_for_another_message() {
    let messages = messages();
    for seed in 0..runs() {
        let mut random = Random(seed);
        let at = usize::try_from(random.below(messages.len() as u64)).unwrap();
        let mut bytes = messages[at].encode();
        for _ in 0..=random.below(3) {
            let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
            bytes[at] = random.next().to_le_bytes()[0];
        }
        bytes.truncate(bytes.len() - usize::try_from(random.below(bytes.len() as u64)).unwrap());
        if let Ok(Some((message, len))) = Handshake::decode(&bytes) {
            // A later version has more fields, and most refusals no delay.
            let is_whole = match message {
                Handshake::Hello(_) => bytes[7] == 1,
                Handshake::Reject(_) => false,
                Handshake::Welcome(_) | Handshake::Resume(_) | Handshake::Resumed(_) => true,
            };
            assert!(!is_whole || message.encode() == bytes[..len], "{message:?}");
        }
    }
}
