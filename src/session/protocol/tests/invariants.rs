//! What holds after every step: I1 to I8 of `docs/protocol.md`.

use super::network::{SessionState, World};
use crate::session::protocol::core::{Core, Outcome};

impl World {
    /// Returns the first invariant that does not hold.
    pub(super) fn violation(&self) -> Option<&'static str> {
        if self.fault.is_some() {
            return self.fault;
        }
        let confirmed = self.sessions.iter().filter(|session| match &session.state {
            SessionState::Live(acceptor) => acceptor.core.is_confirmed(),
            SessionState::Ended(_) | SessionState::Unknown => true,
        });
        if confirmed.count() > 1 {
            return Some("R13: two sessions run a handler");
        }
        let session = &self.sessions[self.session()?];
        let (dialer, dialer_app) = (&self.dialer.core, &self.app);
        let SessionState::Live(acceptor) = &session.state else {
            return None;
        };
        let outcomes = [dialer.outcome(), acceptor.core.outcome()];
        if outcomes
            .iter()
            .any(|outcome| matches!(outcome, Some(Outcome::Lost(_))))
        {
            return Some("the session is lost");
        }
        let acceptor_app = &session.app;
        direction(dialer, &acceptor.core, acceptor_app.read)
            .or_else(|| direction(&acceptor.core, dialer, dialer_app.read))
    }
}

/// Checks one direction, from `from` to `to`, whose application has read so much.
fn direction(from: &Core, to: &Core, read: u64) -> Option<&'static str> {
    let (send, recv) = (from.send(), to.recv());
    let end = send.written() + u64::from(send.is_finished());
    // The content is checked by the application that reads. Plain conditions, because a debug build
    // runs this millions of times.
    if read > send.written() {
        return Some("I1: more was read than written");
    }
    if send.acknowledged() > recv.received() {
        return Some("I2: more is acknowledged than received");
    }
    if recv.received() > send.most_sent() {
        return Some("I2: more is received than sent");
    }
    if send.most_sent() > end {
        return Some("I2: more is sent than written");
    }
    if send.most_sent() > recv.limit() + 1 {
        return Some("I6: more is sent than permitted");
    }
    if send.unacknowledged() > from.options().send_buffer {
        return Some("I6: the send buffer is beyond its bound");
    }
    if recv.unread() > to.options().receive_window {
        return Some("I6: the receive buffer is beyond its bound");
    }
    if recv.has_end() && !(send.is_finished() && recv.received() == end) {
        return Some("I7: an end before the end");
    }
    if send.is_complete() && !recv.has_end() {
        return Some("I8: a shutdown is complete before the peer has everything");
    }
    None
}
