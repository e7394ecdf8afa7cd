//! One end of a session: pure, without a connection, a clock or randomness.

mod attachment;
mod input;
mod output;

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
///   [`read`](Self::read), or [`abort`](Self::abort).
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
/// be read.
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
        if let Err(error) = self.send.begin_connection(received, limit) {
            self.lose(Reason::Desynchronized);
            return Err(error);
        }
        self.expires_at = None;
        self.attachment = Some(Attachment::new(now, epoch, answer));
        self.check_complete();
        Ok(())
    }

    /// Ends the connection. The session stays, for as long as its time to live.
    pub(crate) fn detach(&mut self, now: Instant) {
        if self.attachment.take().is_none() {
            return;
        }
        match self.outcome {
            None => self.expires_at = now.checked_add(self.options.time_to_live),
            Some(_) => self.send.clear(),
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

    /// Loses the session for this reason. If there is a connection, the peer is told `told`, behind
    /// the DATA frame that has begun.
    pub(crate) fn abort(&mut self, reason: Reason, told: Reason) {
        if self.set_lost(reason) {
            match &mut self.attachment {
                Some(attachment) => attachment.reset = Some(told.code()),
                None => self.send.clear(),
            }
        }
    }

    /// Loses the session, without telling the peer.
    pub(super) fn lose(&mut self, reason: Reason) {
        if self.set_lost(reason) {
            if let Some(attachment) = &mut self.attachment {
                attachment.output.clear();
            }
            self.send.clear();
        }
    }

    /// Returns false if the session has ended before.
    fn set_lost(&mut self, reason: Reason) -> bool {
        if self.outcome.is_some() {
            return false;
        }
        self.lost_bytes = self.send.unacknowledged();
        self.was_delivered = self.send.is_complete();
        self.outcome = Some(Outcome::Lost(reason));
        self.expires_at = None;
        true
    }

    /// Completes the session of a dialer.
    pub(super) fn complete(&mut self) -> Result<(), ProtocolError> {
        if !(self.send.is_complete() && self.recv.has_end()) {
            return Err(ProtocolError::NotComplete);
        }
        self.outcome.get_or_insert(Outcome::Complete);
        self.expires_at = None;
        Ok(())
    }

    /// Completes the session of an acceptor once both directions are complete (R9).
    fn check_complete(&mut self) {
        let is_complete = self.recv.has_end() && self.send.is_complete();
        if is_complete && self.role == Role::Acceptor && self.outcome.is_none() {
            self.outcome = Some(Outcome::Complete);
            if let Some(attachment) = &mut self.attachment {
                attachment.is_done_due = true;
            }
        }
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
        match &mut self.attachment {
            Some(attachment) => attachment.handle_timeout(now, &self.options),
            None => true,
        }
    }

    /// Returns whether the connection is to be closed once
    /// [`poll_transmit`](Self::poll_transmit) returns nothing.
    pub(crate) fn is_closing(&self) -> bool {
        self.outcome.is_some()
    }
}
