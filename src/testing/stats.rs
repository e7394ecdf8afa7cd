//! What a proxy has done.

use super::plan::{Direction, Fault};

/// What a proxy has done so far, so that a test can assert that its fault has happened.
///
/// Refused connections are not among it: the kernel refuses them, and the proxy does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Stats {
    /// Connections of clients.
    pub accepted: u64,
    /// Those of them that the proxy still holds.
    pub open: u64,
    /// Those of them that were reset because the server could not be dialed.
    pub unreachable: u64,
    /// Bytes that were relayed from clients to the server.
    pub to_server: u64,
    /// Bytes that were relayed from the server to clients.
    pub to_client: u64,
    /// [`Fault::Reset`]s.
    pub resets: u64,
    /// [`Fault::Fin`]s.
    pub fins: u64,
    /// [`Fault::Stall`]s.
    pub stalls: u64,
    /// [`Fault::HalfOpen`]s.
    pub half_opens: u64,
    /// [`Fault::OneByteAtATime`]s.
    pub one_byte_at_a_time: u64,
    /// [`Fault::Delay`]s.
    pub delays: u64,
    /// [`Fault::Refuse`]s, and commands to refuse.
    pub refusals: u64,
}

impl Stats {
    /// How many faults were injected, of all kinds.
    #[must_use]
    pub const fn faults(&self) -> u64 {
        self.resets
            + self.fins
            + self.stalls
            + self.half_opens
            + self.one_byte_at_a_time
            + self.delays
            + self.refusals
    }

    pub(super) fn injected(&mut self, fault: Fault) {
        *match fault {
            Fault::Reset => &mut self.resets,
            Fault::Fin => &mut self.fins,
            Fault::Stall => &mut self.stalls,
            Fault::HalfOpen => &mut self.half_opens,
            Fault::OneByteAtATime => &mut self.one_byte_at_a_time,
            Fault::Delay(_) => &mut self.delays,
            Fault::Refuse(_) => &mut self.refusals,
        } += 1;
    }

    pub(super) fn relayed(&mut self, bytes: u64, direction: Direction) {
        *match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        } += bytes;
    }
}
