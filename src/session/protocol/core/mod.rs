//! One end of a session: pure, without a connection, a clock or randomness.

mod attachment;
mod ending;
mod input;
mod output;

pub(crate) use output::Transmit;

use std::time::{Duration, Instant};

use super::error::{ProtocolError, Reason};
use super::options::Options;
use super::receive::RecvBuffer;
use super::send::SendBuffer;
use attachment::Attachment;

/// Which end of a session it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// It makes the connections, and stays until it knows that the acceptor has everything.
    Dialer,
    /// It accepts the connections, decides when the session is complete, and says so with DONE.
    Acceptor,
}

/// How a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// Both ends have received everything, and the end.
    Complete,
    Lost(Reason),
}

/// One end of a session, over one connection after another.
///
/// The owner moves the bytes:
///
/// - The application's side calls [`write`](Self::write), [`finish`](Self::finish) and
///   [`read`](Self::read), or [`abort`](Self::abort). Once it is gone, the owner calls `abort`, or
///   [`discard`](Self::discard) if it has finished.
/// - After a handshake the owner calls [`attach`](Self::attach), and after the loss of the
///   connection [`detach`](Self::detach).
/// - What a connection brings goes to [`handle_input`](Self::handle_input). An error ends that
///   connection and not the session. What [`poll_transmit`](Self::poll_transmit) returns is
///   written, and [`advance`](Self::advance) told how much of it the connection has taken. When it
///   returns nothing and [`is_closing`](Self::is_closing), the connection is closed.
/// - At the time that [`poll_timeout`](Self::poll_timeout) returns, the owner calls
///   [`handle_timeout`](Self::handle_timeout).
///
/// Every call may change what the `poll_` methods return, so they are asked after each.
/// [`outcome`](Self::outcome) tells when the session has ended. What has arrived before can still
/// be read. A dialer dials again while [`is_reset_untold`](Self::is_reset_untold), until it sees a
/// connection closed by its peer behind the RESET.
///
/// The rules that are named `R1` to `R15` are those of `docs/protocol.md`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Core {
    role: Role,
    options: Options,
    send: SendBuffer,
    recv: RecvBuffer,
    attachment: Option<Attachment>,
    /// When a session without a connection expires.
    expires_at: Option<Instant>,
    /// The peer has sent a frame, so it knows the session.
    is_confirmed: bool,
    outcome: Option<Outcome>,
    /// The code of the RESET that a dialer sends on every connection until the peer knows it.
    untold: Option<u8>,
    /// How many bytes were not acknowledged when the session was lost.
    lost_bytes: usize,
    /// The peer had everything, and the end, when the session was lost.
    was_delivered: bool,
}

impl Core {
    pub(crate) fn new(role: Role, options: Options) -> Self {
        Self {
            role,
            options,
            send: SendBuffer::new(options.send_buffer),
            recv: RecvBuffer::new(options.receive_window),
            attachment: None,
            expires_at: None,
            is_confirmed: false,
            outcome: None,
            untold: None,
            lost_bytes: 0,
            was_delivered: false,
        }
    }

    pub(crate) fn send(&self) -> &SendBuffer {
        &self.send
    }

    pub(crate) fn recv(&self) -> &RecvBuffer {
        &self.recv
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// Returns when a session without a connection expires.
    pub(crate) fn expires_at(&self) -> Option<Instant> {
        self.expires_at
    }

    /// Returns the epoch of the connection; `None` while detached.
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.attachment.as_ref().map(|attachment| attachment.epoch)
    }

    /// Returns whether the peer has sent a frame on some connection.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.is_confirmed
    }

    /// Returns how many bytes were written and not acknowledged, or were when the session was lost.
    pub(crate) fn unacknowledged(&self) -> usize {
        match self.outcome {
            Some(Outcome::Lost(_)) => self.lost_bytes,
            Some(Outcome::Complete) | None => self.send.unacknowledged(),
        }
    }

    /// Returns whether the peer has everything that was written, and the end (I8).
    pub(crate) fn is_delivered(&self) -> bool {
        match self.outcome {
            Some(Outcome::Lost(_)) => self.was_delivered,
            Some(Outcome::Complete) | None => self.send.is_complete(),
        }
    }

    /// Returns whether a flush is complete: everything that the peer permits was handed to the
    /// connection, or there is none. It never waits for the peer, which may flush before it reads, too.
    pub(crate) fn is_flushed(&self) -> bool {
        match &self.attachment {
            Some(attachment) => self.send.is_flushed() && !attachment.has_output(),
            None => true,
        }
    }

    /// Accepts as much of `bytes` as there is room for, and returns how much that is (R1).
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        match self.outcome {
            None => self.send.write(bytes),
            Some(_) => 0,
        }
    }

    /// Ends the sending direction behind what was written.
    pub(crate) fn finish(&mut self) {
        if self.outcome.is_none() {
            self.send.finish();
        }
    }

    /// Moves bytes that have arrived to the application, and returns how many.
    #[cfg(test)]
    pub(crate) fn read(&mut self, into: &mut [u8]) -> usize {
        self.recv.read(into)
    }

    /// Records that the application has taken the first `n` bytes of what
    /// [`recv`](Self::recv) has to read.
    pub(crate) fn consume(&mut self, n: usize) {
        self.recv.consume(n);
    }

    /// Frees the memory of buffers that are empty.
    pub(crate) fn release_memory(&mut self) {
        self.send.release_memory();
        self.recv.release_memory();
    }

    /// Begins the connection of this epoch, on which the peer has received everything before
    /// `received` and permits everything before `limit`. `answer` is sent before any frame.
    ///
    /// # Errors
    ///
    /// The peer can't have received that. The session is lost (R8).
    pub(crate) fn attach(
        &mut self,
        now: Instant,
        epoch: u64,
        (received, limit): (u64, u64),
        answer: &[u8],
    ) -> Result<(), ProtocolError> {
        let mut attachment = Attachment::new(now, epoch, answer);
        attachment.reset = self.untold;
        // A session that is lost has nothing else to tell, and no more time than before.
        if !self.is_reset_untold() {
            if let Err(error) = self.send.begin_connection(received, limit) {
                self.lose(Reason::Desynchronized);
                return Err(error);
            }
            self.expires_at = None;
        }
        self.attachment = Some(attachment);
        self.check_end();
        Ok(())
    }

    /// Ends the connection. The session stays, for as long as its time to live.
    pub(crate) fn detach(&mut self, now: Instant) {
        if self.attachment.take().is_none() {
            return;
        }
        if self.outcome.is_some() {
            self.send.clear();
        }
        if self.outcome.is_none() || self.is_reset_untold() {
            let time_to_live = self.options.time_to_live;
            self.expires_at = self.expires_at.or_else(|| now.checked_add(time_to_live));
        }
    }

    /// Returns what the peer is told next: what is received and what is permitted.
    pub(super) fn tell(&mut self) -> (u64, u64) {
        self.recv.on_told();
        (self.recv.received(), self.recv.limit())
    }

    /// Sets how long the session lives without a connection, in milliseconds.
    pub(crate) fn set_time_to_live(&mut self, millis: u32) {
        self.options.time_to_live = Duration::from_millis(u64::from(millis));
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match &self.attachment {
            Some(attachment) => attachment.poll_timeout(&self.options),
            None => self.expires_at,
        }
    }

    /// Handles the timeouts that are due. Returns false if the connection is dead: its owner drops
    /// it and calls [`detach`](Self::detach).
    #[must_use]
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> bool {
        if self.expires_at.is_some_and(|at| at <= now) {
            self.lose(Reason::Expired);
        }
        let Some(attachment) = &mut self.attachment else {
            return true;
        };
        let is_alive = attachment.handle_timeout(now, &self.options);
        // As with the answer to a PING of the peer.
        attachment.is_ack_due |= attachment.is_ping_due && self.recv.has_window_grown();
        is_alive
    }
}
