//! What an end of a session keeps about its current connection.

use std::time::Instant;

use super::output::Output;
use crate::session::protocol::decoder::Decoder;
use crate::session::protocol::options::Options;

/// The current connection of a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Attachment {
    pub(super) epoch: u64,
    pub(super) decoder: Decoder,
    pub(super) output: Output,
    /// An ACK is to be sent now.
    pub(super) is_ack_due: bool,
    /// When an ACK is to be sent at the latest.
    pub(super) ack_at: Option<Instant>,
    /// The token of the last PING that was not answered. One answer is enough for many.
    pub(super) pong: Option<u64>,
    pub(super) is_ping_due: bool,
    /// When the PING was due that no byte of the peer has followed.
    pinged_at: Option<Instant>,
    /// When the last byte arrived (R11).
    received_at: Instant,
    /// The code of the RESET that is to be sent.
    pub(super) reset: Option<u8>,
    pub(super) is_done_due: bool,
}

impl Attachment {
    /// The first frame is an ACK: it tells the peer that its answer or question has arrived (R13).
    pub(super) fn new(now: Instant, epoch: u64, answer: &[u8]) -> Self {
        Self {
            epoch,
            decoder: Decoder::default(),
            output: Output::new(answer),
            is_ack_due: true,
            ack_at: None,
            pong: None,
            is_ping_due: false,
            pinged_at: None,
            received_at: now,
            reset: None,
            is_done_due: false,
        }
    }

    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Returns whether a frame without payload is to be sent now.
    pub(super) fn has_due(&self) -> bool {
        self.is_ack_due || self.is_ping_due || self.pong.is_some()
    }

    /// Any byte from the peer shows that it lives.
    pub(super) fn on_input(&mut self, now: Instant) {
        self.received_at = now;
        self.is_ping_due = false;
        self.pinged_at = None;
    }

    pub(super) fn schedule_ack(&mut self, now: Instant, options: &Options) {
        if self.ack_at.is_none() {
            self.ack_at = now.checked_add(options.ack_delay);
        }
    }

    pub(super) fn poll_timeout(&self, options: &Options) -> Option<Instant> {
        let silence = match self.pinged_at {
            Some(at) => at.checked_add(options.dead_after),
            None => self.received_at.checked_add(options.ping_after),
        };
        [self.ack_at, silence].into_iter().flatten().min()
    }

    /// Returns false if the peer was silent for too long.
    pub(super) fn handle_timeout(&mut self, now: Instant, options: &Options) -> bool {
        if self.ack_at.is_some_and(|at| at <= now) {
            self.ack_at = None;
            self.is_ack_due = true;
        }
        // The time for the answer begins with the PING, which is late if this process was stopped.
        if let Some(at) = self.pinged_at {
            let dead_at = at.checked_add(options.dead_after);
            return dead_at.is_none_or(|at| now < at);
        }
        let ping_at = self.received_at.checked_add(options.ping_after);
        if ping_at.is_some_and(|at| at <= now) {
            self.is_ping_due = true;
            self.pinged_at = Some(now);
        }
        true
    }
}
