//! A connection between the two ends, and what is on its way.

use std::collections::VecDeque;

use crate::session::protocol::dialer::Dial;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Dialer,
    Acceptor,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wire {
    pub(super) dial: Dial,
    /// What was written and has not arrived, one batch of frames each.
    pub(super) to_acceptor: VecDeque<Vec<u8>>,
    pub(super) to_dialer: VecDeque<Vec<u8>>,
    pub(super) dialer: End,
    pub(super) acceptor: End,
}

/// What one side of a connection is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    /// The first message has not arrived whole.
    Handshake(Vec<u8>),
    /// It carries frames of a session, in this epoch.
    Open {
        session: usize,
        epoch: u64,
    },
    Closed,
}

impl Wire {
    pub(super) fn queue(&mut self, to: Side) -> &mut VecDeque<Vec<u8>> {
        match to {
            Side::Dialer => &mut self.to_dialer,
            Side::Acceptor => &mut self.to_acceptor,
        }
    }

    pub(super) fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Dialer => &mut self.dialer,
            Side::Acceptor => &mut self.acceptor,
        }
    }

    /// Closes one side: what is on its way to it is lost.
    pub(super) fn close(&mut self, side: Side) {
        *self.end(side) = End::Closed;
        self.queue(side).clear();
    }
}
