//! The rules of one end, named as in `docs/protocol.md`.

mod acknowledging;
mod batches;
mod dropping;
mod ending;
mod errors;
mod receiving;
mod sending;
mod silence;

use std::time::{Duration, Instant};

use super::frames::{Owned, decode, encode};
use crate::session::protocol::core::{Core, Outcome, Role};
use crate::session::protocol::error::{ProtocolError, Reason};
use crate::session::protocol::frame::{Frame, MAX_PAYLOAD};
use crate::session::protocol::options::Options;

const EPOCH: u64 = 1;

/// One end, attached, and the time.
struct End {
    core: Core,
    now: Instant,
}

fn options() -> Options {
    Options {
        send_buffer: 100,
        receive_window: 100,
        ack_after: 50,
        ..Options::default()
    }
}

impl End {
    fn with(role: Role, options: Options) -> Self {
        let (mut core, now) = (Core::new(role, options), Instant::now());
        let limit = 1_000_000;
        core.attach(now, EPOCH, (0, limit), &[]).unwrap();
        let mut end = Self { core, now };
        // The first frame of a connection.
        assert!(matches!(
            end.frames()[..],
            [Owned::Frame(Frame::Ack { .. })]
        ));
        end
    }

    fn new() -> Self {
        Self::with(Role::Dialer, options())
    }

    /// Everything that it writes now.
    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(transmit) = self.core.poll_transmit() {
            let batch = transmit.slices.concat();
            self.core.advance(batch.len());
            bytes.extend(batch);
        }
        bytes
    }

    fn frames(&mut self) -> Vec<Owned> {
        decode(&self.bytes(), usize::MAX).unwrap()
    }

    /// After an error it is on another connection, which carries what was not acknowledged.
    fn arrive(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let handled = self.core.handle_input(self.now, EPOCH, bytes);
        if handled.is_err() && handled != Err(ProtocolError::StaleConnection) {
            assert_eq!(self.core.epoch(), None, "the connection is detached");
            self.reattach(self.core.send().acknowledged()).unwrap();
            self.bytes();
        }
        handled
    }

    fn frame(&mut self, frame: Frame) -> Result<(), ProtocolError> {
        self.arrive(&encode(frame))
    }

    fn data(&mut self, offset: u64, payload: &[u8]) -> Result<(), ProtocolError> {
        let len = payload.len();
        self.arrive(&[&encode(Frame::Data { offset, len }), payload].concat())
    }

    fn read(&mut self) -> Vec<u8> {
        let mut into = [0; 256];
        let n = self.core.read(&mut into);
        into[..n].to_vec()
    }

    fn ack(&mut self, received: u64) -> Result<(), ProtocolError> {
        let limit = 1_000_000;
        self.frame(Frame::Ack { received, limit })
    }

    /// Goes to the next timeout. Returns false if the connection is dead.
    fn timeout(&mut self) -> bool {
        self.now = self.core.poll_timeout().expect("a timeout");
        self.core.handle_timeout(self.now)
    }

    /// On another connection, on which the peer has received so much.
    fn reattach(&mut self, received: u64) -> Result<(), ProtocolError> {
        self.core.detach(self.now);
        let offsets = (received, 1_000_000);
        self.core.attach(self.now, EPOCH, offsets, &[])
    }
}

fn data(offset: u64, payload: &[u8]) -> [Owned; 2] {
    let len = payload.len();
    [
        Owned::Frame(Frame::Data { offset, len }),
        Owned::Payload(payload.to_vec()),
    ]
}

fn ack(received: u64, limit: u64) -> Owned {
    Owned::Frame(Frame::Ack { received, limit })
}
