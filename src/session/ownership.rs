//! What follows when the application drops its end of a session, or a half of it.

use super::protocol::Reason;
use super::shared::Inner;

impl Inner {
    pub(super) fn add_owner(&mut self) {
        self.owners = self.owners.saturating_add(1);
    }

    /// The application has dropped its end. Without a shutdown the session is reset. What is unread
    /// takes no memory until the peer knows.
    pub(super) fn on_dropped(&mut self) {
        if !self.core().send().is_finished() {
            self.abort(Reason::PeerReset, None);
        }
        self.core_mut().discard();
    }

    /// Returns whether the application has shut its end down and dropped it.
    pub(super) fn is_orphan(&self) -> bool {
        !self.has_application() && self.core().send().is_finished()
    }

    /// Returns whether the session has ended, and no other connection has to tell the peer.
    pub(super) fn is_settled(&self) -> bool {
        self.has_ended() && self.incoming.is_none() && !self.core().is_reset_untold()
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
