//! Arbitrary bytes, and arbitrary orders of inputs.
//!
//! ```text
//! FUZZ_RUNS=10000000 cargo test --release --features session --lib fuzz -- --nocapture
//! ```

use std::time::{Duration, Instant};

use super::frames::{FRAMES, encode};
use super::handshakes::messages;
use super::random::Random;
use crate::session::protocol::core::{Core, Outcome, Role};
use crate::session::protocol::decoder::{Decoder, Piece};
use crate::session::protocol::error::Reason;
use crate::session::protocol::frame::Frame;
use crate::session::protocol::handshake::Handshake;
use crate::session::protocol::options::Options;

impl Random {
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
    let steps: u64 = (0..runs()).map(run).sum();
    println!("{} runs, {steps} steps before the end of a session", runs());
}

/// One history of one end. Returns how many steps it had before the session ended.
fn run(seed: u64) -> u64 {
    let mut random = Random(seed);
    let steps = random.between(10, 70);
    let mut history = History::new(random);
    let mut live = 0;
    for _ in 0..steps {
        live += u64::from(history.core.outcome().is_none());
        let before = Account::of(&history.core);
        history.step();
        Account::of(&history.core).check(&before, &history.options);
        let core = &history.core;
        let _ = (core.poll_timeout(), core.is_flushed(), core.is_closing());
    }
    live
}

/// One end, and what arrives at it.
struct History {
    random: Random,
    options: Options,
    core: Core,
    now: Instant,
    epoch: u64,
    /// Decodes what the end has sent on this connection.
    sent: Decoder,
}

impl History {
    fn new(mut random: Random) -> Self {
        let role = [Role::Dialer, Role::Acceptor][usize::from(random.below(2) == 0)];
        let mut up_to = |most| usize::try_from(random.between(1, most)).unwrap();
        let options = Options {
            send_buffer: up_to(40),
            receive_window: up_to(40),
            ack_after: up_to(30) as u64 - 1,
            max_payload: up_to(20),
            ..Options::default()
        };
        Self {
            random,
            options,
            core: Core::new(role, options),
            now: Instant::now(),
            epoch: 0,
            sent: Decoder::default(),
        }
    }

    fn step(&mut self) {
        match self.random.below(16) {
            0..=5 => self.receive_frame(),
            6 => {
                let bytes = self.random.bytes(40);
                let _ = self.core.handle_input(self.now, self.epoch, &bytes);
            }
            7 | 8 => {
                let bytes = self.random.bytes(60);
                assert!(self.core.write(&bytes) <= bytes.len());
            }
            9..=11 => self.transmit(),
            12 => {
                let mut into = [0; 30];
                self.core.read(&mut into);
            }
            13 => self.attach(),
            14 => {
                self.now += Duration::from_millis(self.random.below(30_000));
                if !self.core.handle_timeout(self.now) {
                    self.core.detach(self.now);
                }
            }
            _ => match self.random.below(20) {
                0 => self.core.abort(Reason::Closed, Reason::PeerReset),
                1 | 2 => self.core.finish(),
                _ => self.core.release_memory(),
            },
        }
        if self.core.epoch().is_none() && self.random.below(2) == 0 {
            self.attach();
        }
    }

    fn receive_frame(&mut self) {
        let frame = self.random.frame(&self.core);
        let mut bytes = encode(frame);
        if let Frame::Data { len, .. } = frame {
            bytes.resize(bytes.len() + len, 7);
        }
        // Sometimes cut, or on a connection that was replaced.
        let cut = self.random.below(8 * bytes.len() as u64);
        bytes.truncate(usize::try_from(cut).unwrap().max(1));
        let epoch = self.epoch - self.epoch.min(u64::from(self.random.below(16) == 0));
        let before = self.core.clone();
        let handled = self.core.handle_input(self.now, epoch, &bytes);
        if epoch != self.epoch {
            assert!(
                handled.is_err() && self.core == before,
                "a stale connection"
            );
        }
    }

    /// Another connection. Mostly the peer has received what it can have received.
    fn attach(&mut self) {
        self.epoch += 1;
        self.sent = Decoder::default();
        self.core.detach(self.now);
        if self.core.outcome().is_some() {
            return;
        }
        let (least, most) = (
            self.core.send().acknowledged(),
            self.core.send().most_sent(),
        );
        let received = match self.random.below(12) {
            0 => self.random.offset(&self.core),
            _ => self.random.between(least, most),
        };
        let limit = self.random.offset(&self.core);
        let attached = self
            .core
            .attach(self.now, self.epoch, (received, limit), &[]);
        assert_eq!(attached.is_ok(), (least..=most).contains(&received));
        if attached.is_err() {
            let lost = Some(Outcome::Lost(Reason::Desynchronized));
            assert_eq!(self.core.outcome(), lost);
        }
    }

    fn transmit(&mut self) {
        for _ in 0..10 {
            let Some(transmit) = self.core.poll_transmit() else {
                return;
            };
            let bytes = match self.random.between(0, 1) {
                0 => transmit.slices.concat(),
                _ => transmit.all(),
            };
            assert!(!bytes.is_empty(), "nothing to write is None");
            let n = usize::try_from(self.random.between(0, bytes.len() as u64)).unwrap();
            let mut taken = &bytes[..n];
            while let Some(piece) = self.sent.next(&mut taken).expect("frames of the protocol") {
                if let Piece::Frame(Frame::Data { offset, len }) = piece {
                    assert!(offset + len as u64 <= self.core.send().written());
                }
            }
            self.core.advance(n);
        }
    }
}

/// The numbers of one end.
struct Account {
    acknowledged: u64,
    most_sent: u64,
    written: u64,
    received: u64,
    limit: u64,
    read: u64,
    kept: u64,
    unread: u64,
    is_lost: bool,
}

impl Account {
    fn of(core: &Core) -> Self {
        let (send, recv) = (core.send(), core.recv());
        Self {
            acknowledged: send.acknowledged(),
            most_sent: send.most_sent(),
            written: send.written() + u64::from(send.is_finished()),
            received: recv.received() - u64::from(recv.has_end()),
            limit: recv.limit(),
            read: recv.read_offset(),
            kept: send.unacknowledged() as u64,
            unread: recv.unread() as u64,
            is_lost: matches!(core.outcome(), Some(Outcome::Lost(_))),
        }
    }

    /// I2, I3 and I6 of `docs/protocol.md`, after the account `before`.
    fn check(&self, before: &Self, options: &Options) {
        assert!(self.acknowledged <= self.most_sent && self.most_sent <= self.written);
        assert!(before.acknowledged <= self.acknowledged && before.most_sent <= self.most_sent);
        assert!(before.received <= self.received && before.limit <= self.limit);
        assert!(self.read <= self.received && self.received <= self.limit);
        assert_eq!(self.unread, self.received - self.read);
        assert!(self.kept <= options.send_buffer as u64);
        assert!(self.unread <= options.receive_window as u64);
        let kept = self.written - self.acknowledged;
        assert!(self.is_lost || self.kept == kept || self.kept + 1 == kept);
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
