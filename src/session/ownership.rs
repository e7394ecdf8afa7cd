//! What follows when the application drops its end of a session, or a half of it.

use super::protocol::Reason;
use super::shared::{End, Inner};

impl Inner {
    pub(super) fn add_owner(&mut self) {
        self.owners = self.owners.saturating_add(1);
    }

    /// The application has dropped its end. Without a shutdown the session is reset; a dialer tells
    /// the acceptor on its connection, or on the next one if it has none.
    pub(super) fn on_dropped(&mut self) {
        let may_connect = match &self.end {
            End::Dialer(dialer) => dialer.id().is_some(),
            End::Acceptor(_) => false,
        };
        if self.core().send().is_finished() {
            self.discard_unread();
        } else if may_connect {
            self.is_abandoned = true;
        } else {
            self.abort(Reason::PeerReset, None);
        }
    }

    /// Tells the peer that the application was dropped.
    pub(super) fn tell_of_drop(&mut self) {
        if self.is_abandoned {
            self.abort(Reason::PeerReset, None);
        }
    }

    /// Returns whether the application has shut its end down and dropped it.
    pub(super) fn is_orphan(&self) -> bool {
        !self.has_application() && self.core().send().is_finished()
    }

    /// Drops what has arrived for an application that is gone, and resets the session once the
    /// application's own bytes have arrived: the peer has to know that the rest was not read.
    pub(super) fn discard_unread(&mut self) {
        let unread = self.core().recv().unread();
        if !self.is_orphan() || unread == 0 {
            return;
        }
        self.core_mut().consume(unread);
        if self.core().send().is_complete() {
            self.abort(Reason::PeerReset, None);
        }
    }

    /// Returns whether the last half of the application is gone.
    pub(super) fn remove_owner(&mut self) -> bool {
        self.owners = self.owners.saturating_sub(1);
        self.owners == 0
    }

    /// Returns whether the application has its end. It has none while the session is provisional.
    pub(super) fn has_application(&self) -> bool {
        self.owners > 0
    }
}
