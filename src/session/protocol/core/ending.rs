//! How a session ends.

use super::{Core, Outcome, Role};
use crate::session::protocol::error::{ProtocolError, Reason};

impl Core {
    /// Throws away what is unread and what arrives from now on, because the application is gone and
    /// has finished. If there is anything, the session is reset once the peer has what was written:
    /// it has to know that the rest was not read.
    pub(crate) fn discard(&mut self) {
        self.recv.discard();
        self.check_end();
    }

    /// Loses the session for this reason. If there is a connection, the peer is told `told`, behind
    /// the DATA frame that has begun. A dialer tells it on the next connection otherwise, and again
    /// on another one if its owner does not see this one close. An acceptor has its tombstone.
    pub(crate) fn abort(&mut self, reason: Reason, told: Reason) {
        if !self.set_lost(reason) {
            return;
        }
        // A session that never had a connection does not expire, and no peer knows it.
        let is_known = self.attachment.is_some() || self.expires_at.is_some();
        match self.role {
            Role::Dialer if is_known => self.untold = Some(told.code()),
            Role::Dialer | Role::Acceptor => self.expires_at = None,
        }
        match &mut self.attachment {
            Some(attachment) => attachment.reset = Some(told.code()),
            None => self.send.clear(),
        }
    }

    /// Returns whether the peer has still to learn that this end has lost the session, on this
    /// connection or on another one. It stops with the time to live.
    pub(crate) fn is_reset_untold(&self) -> bool {
        self.untold.is_some()
    }

    /// Loses the session, without telling the peer.
    pub(crate) fn lose(&mut self, reason: Reason) {
        (self.untold, self.expires_at) = (None, None);
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
        true
    }

    /// Completes the session of a dialer.
    pub(crate) fn complete(&mut self) -> Result<(), ProtocolError> {
        if !(self.send.is_complete() && self.recv.has_end()) {
            return Err(ProtocolError::NotComplete);
        }
        self.outcome.get_or_insert(Outcome::Complete);
        (self.untold, self.expires_at) = (None, None);
        Ok(())
    }

    /// Completes the session of an acceptor once both directions are complete (R9), and resets one
    /// whose bytes were thrown away once the peer has everything.
    #[inline]
    pub(super) fn check_end(&mut self) {
        // Every frame comes here.
        if self.recv.has_discarded() || self.recv.has_end() {
            self.end_if_complete();
        }
    }

    fn end_if_complete(&mut self) {
        if self.recv.has_discarded() {
            // The peer may have thrown bytes away, too. Then it never acknowledges the end, but it
            // gets the RESET behind it.
            let is_refused = self.recv.has_refused_end() && self.send.is_end_sent();
            if is_refused || self.send.is_complete() {
                self.abort(Reason::PeerReset, Reason::PeerReset);
            }
            return;
        }
        let is_complete = self.recv.has_end() && self.send.is_complete();
        if is_complete && self.role == Role::Acceptor && self.outcome.is_none() {
            self.outcome = Some(Outcome::Complete);
            if let Some(attachment) = &mut self.attachment {
                attachment.is_done_due = true;
            }
        }
    }

    /// Returns whether the connection is to be closed once
    /// [`poll_transmit`](Self::poll_transmit) returns nothing.
    pub(crate) fn is_closing(&self) -> bool {
        self.outcome.is_some()
    }
}
