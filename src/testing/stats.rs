//! The counters of a proxy.

use super::fault::{Direction, Fault};

/// Counts what a proxy has done, so that a test can assert that its fault has happened.
///
/// Refused connections are not counted, because the kernel refuses them without the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Stats {
    /// Accepted connections of clients.
    pub accepted: u64,
    /// Accepted connections that are still open.
    pub open: u64,
    /// Accepted connections that were reset because the server could not be reached.
    pub unreachable: u64,
    /// Bytes relayed from clients to the server.
    pub to_server: u64,
    /// Bytes relayed from the server to clients.
    pub to_client: u64,
    /// Injected [`Fault::Reset`]s.
    pub resets: u64,
    /// Injected [`Fault::Fin`]s.
    pub fins: u64,
    /// Injected [`Fault::Stall`]s.
    pub stalls: u64,
    /// Injected [`Fault::HalfOpen`]s.
    pub half_opens: u64,
    /// Injected [`Fault::OneByteAtATime`]s.
    pub one_byte_at_a_time: u64,
    /// Injected [`Fault::Delay`]s.
    pub delays: u64,
    /// Injected [`Fault::Timeout`]s.
    pub timeouts: u64,
    /// Injected [`Fault::Slice`]s.
    pub slices: u64,
    /// Injected [`Fault::Latency`]s.
    pub latencies: u64,
    /// Injected [`Fault::Bandwidth`]s.
    pub bandwidths: u64,
    /// Injected [`Fault::SlowClose`]s.
    pub slow_closes: u64,
    /// Injected [`Fault::Refuse`]s, and calls of [`refuse`](super::FaultProxy::refuse).
    pub refusals: u64,
}

impl Stats {
    /// Returns how many faults of all kinds were injected.
    #[must_use]
    pub const fn faults(&self) -> u64 {
        self.resets
            + self.fins
            + self.stalls
            + self.half_opens
            + self.one_byte_at_a_time
            + self.delays
            + self.timeouts
            + self.slices
            + self.latencies
            + self.bandwidths
            + self.slow_closes
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
            Fault::Timeout(_) => &mut self.timeouts,
            Fault::Slice(_) => &mut self.slices,
            Fault::Latency { .. } => &mut self.latencies,
            Fault::Bandwidth { .. } => &mut self.bandwidths,
            Fault::SlowClose(_) => &mut self.slow_closes,
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
