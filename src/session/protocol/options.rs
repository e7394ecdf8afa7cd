//! The settings of one session.

use std::time::Duration;

use super::frame::MAX_PAYLOAD;

/// The settings that the protocol depends on. See `SessionOptions` for the reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Options {
    /// The most that waits for acknowledgments, in bytes.
    pub(crate) send_buffer: usize,
    /// The most that waits for the application, in bytes.
    pub(crate) receive_window: usize,
    /// The most bytes of the stream in one frame; at least 1.
    pub(crate) max_payload: usize,
    /// An acknowledgment is sent after so many bytes, or after `ack_delay`.
    pub(crate) ack_after: u64,
    pub(crate) ack_delay: Duration,
    /// A PING is sent after so long without a byte from the peer.
    pub(crate) ping_after: Duration,
    /// The connection is dead so long after the PING.
    pub(crate) dead_after: Duration,
    /// How long the acceptor keeps a session without a connection.
    pub(crate) time_to_live: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            send_buffer: 1024 * 1024,
            receive_window: 1024 * 1024,
            max_payload: MAX_PAYLOAD,
            ack_after: 128 * 1024,
            ack_delay: Duration::from_millis(25),
            ping_after: Duration::from_secs(15),
            dead_after: Duration::from_secs(10),
            time_to_live: Duration::from_secs(120),
        }
    }
}

impl Options {
    /// Returns the time to live as WELCOME has it, in milliseconds.
    pub(crate) fn time_to_live_millis(&self) -> u32 {
        u32::try_from(self.time_to_live.as_millis()).unwrap_or(u32::MAX)
    }
}
