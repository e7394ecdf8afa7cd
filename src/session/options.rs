//! The settings of sessions.

use std::time::Duration;

use super::protocol::{MAX_PAYLOAD, Options};

/// The settings of a [`ResumableStream`](super::ResumableStream), or of all sessions of a
/// [`Sessions`](super::Sessions). The two ends need not have the same ones.
///
/// # Defaults
///
/// | setting | default | of |
/// |---|---|---|
/// | [`send_buffer`](Self::send_buffer) | 1 MiB | both ends |
/// | [`receive_window`](Self::receive_window) | 1 MiB | both ends |
/// | [`frame_payload`](Self::frame_payload) | 65,280 B | both ends |
/// | [`ack_after`](Self::ack_after), [`ack_delay`](Self::ack_delay) | 128 KiB, 25 ms | both ends |
/// | [`ping_after`](Self::ping_after), [`dead_after`](Self::dead_after) | 15 s, 10 s | both ends |
/// | [`time_to_live`](Self::time_to_live) | 120 s | the server |
/// | [`handshake_timeout`](Self::handshake_timeout) | 10 s | the server |
/// | [`max_handshakes`](Self::max_handshakes) | 1,024 | the server |
/// | [`max_sessions`](Self::max_sessions) | 10,000 | the server |
/// | [`max_sessions_per_identity`](Self::max_sessions_per_identity) | 64 | the server |
/// | [`memory_budget`](Self::memory_budget) | 1 GiB | the server |
/// | [`max_resumes_per_second`](Self::max_resumes_per_second) | 10 | the server |
/// | [`tombstone_lifetime`](Self::tombstone_lifetime) | 5 min | the server |
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use reconnecting_stream::{SessionOptions, Sessions};
///
/// const OPTIONS: SessionOptions = SessionOptions::new()
///     .receive_window(256 * 1024)
///     .time_to_live(Duration::from_secs(600));
///
/// let sessions = Sessions::new(OPTIONS);
/// # let _ = sessions;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(default, deny_unknown_fields, rename_all = "snake_case")
)]
#[must_use]
pub struct SessionOptions {
    send_buffer: usize,
    receive_window: usize,
    frame_payload: usize,
    ack_after: u64,
    #[cfg_attr(feature = "serde", serde(with = "crate::policy::human"))]
    ack_delay: Duration,
    #[cfg_attr(feature = "serde", serde(with = "crate::policy::human"))]
    ping_after: Duration,
    #[cfg_attr(feature = "serde", serde(with = "crate::policy::human"))]
    dead_after: Duration,
    #[cfg_attr(feature = "serde", serde(with = "crate::policy::human"))]
    time_to_live: Duration,
    #[cfg_attr(feature = "serde", serde(with = "crate::policy::human"))]
    handshake_timeout: Duration,
    max_handshakes: usize,
    max_sessions: usize,
    max_sessions_per_identity: usize,
    memory_budget: usize,
    max_resumes_per_second: u32,
    #[cfg_attr(feature = "serde", serde(with = "crate::policy::human"))]
    tombstone_lifetime: Duration,
}

/// The memory that a server has for each session that it accepts, in bytes: half of it to send, half
/// to receive.
pub(super) const MIN_SHARE: usize = 64 * 1024;

/// The shortest time that a setting can have. Tokio's timers count in milliseconds.
const MIN_TIME: Duration = Duration::from_millis(1);

/// The longest time that a setting has an effect with: 30 years.
const MAX_TIME: Duration = Duration::from_secs(86_400 * 365 * 30);

const MIB: usize = 1024 * 1024;

impl SessionOptions {
    /// Returns the default settings.
    pub const fn new() -> Self {
        Self {
            send_buffer: MIB,
            receive_window: MIB,
            frame_payload: MAX_PAYLOAD,
            ack_after: 128 * 1024,
            ack_delay: Duration::from_millis(25),
            ping_after: Duration::from_secs(15),
            dead_after: Duration::from_secs(10),
            time_to_live: Duration::from_secs(120),
            handshake_timeout: Duration::from_secs(10),
            max_handshakes: 1024,
            max_sessions: 10_000,
            max_sessions_per_identity: 64,
            memory_budget: 1024 * MIB,
            max_resumes_per_second: 10,
            tombstone_lifetime: Duration::from_secs(300),
        }
    }

    /// Sets how much may be written and not acknowledged, in bytes; at least 1. A write waits while
    /// the buffer is full.
    ///
    /// A connection carries at most this much in a round trip.
    pub const fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = bytes;
        self
    }

    /// Sets how much may arrive before the application reads it, in bytes; at least 1. The peer
    /// waits while it is used up.
    ///
    /// Windows below 512 KiB cost a quarter of the throughput on loopback.
    pub const fn receive_window(mut self, bytes: usize) -> Self {
        self.receive_window = bytes;
        self
    }

    /// Sets how much of the stream goes into one frame at most, in bytes; from 1 to 65,280.
    ///
    /// Frames without payload, such as an answer to a PING, wait for one frame at most. A smaller
    /// payload shortens that wait on a slow connection, and costs throughput on a fast one. More would make two
    /// segments of each frame on loopback.
    pub const fn frame_payload(mut self, bytes: usize) -> Self {
        self.frame_payload = bytes;
        self
    }

    /// Sets after how much an acknowledgment is sent, in bytes; at least 1. It is sent earlier with
    /// data that goes the same way, and after [`ack_delay`](Self::ack_delay).
    pub const fn ack_after(mut self, bytes: u64) -> Self {
        self.ack_after = bytes;
        self
    }

    /// Sets after how long an acknowledgment is sent at the latest; at least 1 ms. Until then it
    /// waits for data that goes the same way.
    pub const fn ack_delay(mut self, delay: Duration) -> Self {
        self.ack_delay = delay;
        self
    }

    /// Sets after how long without a byte from the peer a PING is sent; at least 1 ms. The session
    /// answers it, not the application, so a busy peer is not taken for a dead one.
    pub const fn ping_after(mut self, silence: Duration) -> Self {
        self.ping_after = silence;
        self
    }

    /// Sets how long after a PING the connection counts as lost if no byte has arrived; at least
    /// 1 ms.
    pub const fn dead_after(mut self, silence: Duration) -> Self {
        self.dead_after = silence;
        self
    }

    /// Sets how long a server keeps a session without a connection; at least 1 ms. The server tells
    /// its clients, and a client gives up after that time without a connection.
    ///
    /// What a client sets is not used: before its first connection the policy alone decides when to
    /// give up.
    pub const fn time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = time;
        self
    }

    /// Limits the time of a handshake; at least 1 ms. The handshake of a client is part of the
    /// [attempt](crate::Policy::attempt_timeout).
    pub const fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.handshake_timeout = limit;
        self
    }

    /// Limits the handshakes that run at a time. A connection beyond the limit is dropped. Before a
    /// peer has proven itself, a handshake keeps at most 2 KiB.
    pub const fn max_handshakes(mut self, limit: usize) -> Self {
        self.max_handshakes = limit;
        self
    }

    /// Limits the sessions, with and without a connection. A client beyond the limit is told to try
    /// again later.
    pub const fn max_sessions(mut self, limit: usize) -> Self {
        self.max_sessions = limit;
        self
    }

    /// Limits the sessions of one identity: see [`accept_from`](super::Sessions::accept_from). A client
    /// beyond the limit is told to try again later.
    pub const fn max_sessions_per_identity(mut self, limit: usize) -> Self {
        self.max_sessions_per_identity = limit;
        self
    }

    /// Limits the memory for the bytes of all sessions, in bytes.
    ///
    /// Each session gets at least 64 KiB, and this is set aside for as many sessions as
    /// [may exist](Self::max_sessions). What the budget has beyond that is given to the sessions that
    /// begin first, up to the whole send buffer and receive window of each. By default 190
    /// sessions have all their 2 MiB. With fewer sessions or more memory all of them do: 32 MiB and 2
    /// MiB for each session always suffice.
    ///
    /// If not even 64 KiB are left, a session that no client has confirmed is evicted, or else
    /// the one that has been without a connection for the longest time. If there is none, the client is told to try again later. A session with a
    /// connection is never evicted.
    pub const fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory_budget = bytes;
        self
    }

    /// Limits how often a session is resumed in a second; at least 1. A client beyond the limit is
    /// told to try again later.
    pub const fn max_resumes_per_second(mut self, limit: u32) -> Self {
        self.max_resumes_per_second = limit;
        self
    }

    /// Sets how long a server remembers how a session has ended, so that its client learns it. It
    /// costs about 110 bytes for this time. Of more than eight times
    /// [`max_sessions`](Self::max_sessions) the oldest are forgotten first.
    pub const fn tombstone_lifetime(mut self, time: Duration) -> Self {
        self.tombstone_lifetime = time;
        self
    }

    /// Returns the settings of one session, with a share of the memory.
    pub(super) fn of_session(&self, share: usize) -> Options {
        let (send, receive) = (self.send_buffer.max(1), self.receive_window.max(1));
        let wanted = send.saturating_add(receive);
        let part = |bytes: usize| match wanted <= share {
            true => bytes,
            false => bytes.min((share / 2).max(1)),
        };
        Options {
            send_buffer: part(send),
            receive_window: part(receive),
            max_payload: self.frame_payload.clamp(1, MAX_PAYLOAD),
            ack_after: self.ack_after.max(1),
            ack_delay: self.ack_delay.max(MIN_TIME),
            ping_after: self.ping_after.max(MIN_TIME),
            dead_after: self.dead_after.max(MIN_TIME),
            time_to_live: self.time_to_live.clamp(MIN_TIME, MAX_TIME),
        }
    }

    /// Returns what a session would use at most.
    pub(super) fn full_share(&self) -> usize {
        self.send_buffer
            .max(1)
            .saturating_add(self.receive_window.max(1))
    }

    pub(super) fn handshake_limit(&self) -> Duration {
        self.handshake_timeout.max(MIN_TIME)
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            handshakes: self.max_handshakes,
            sessions: self.max_sessions,
            sessions_per_identity: self.max_sessions_per_identity,
            memory: self.memory_budget,
            tombstone_lifetime: self.tombstone_lifetime.min(MAX_TIME),
        }
    }

    pub(super) fn resumes_per_second(&self) -> u32 {
        self.max_resumes_per_second.max(1)
    }
}

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) handshakes: usize,
    pub(super) sessions: usize,
    pub(super) sessions_per_identity: usize,
    pub(super) memory: usize,
    pub(super) tombstone_lifetime: Duration,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self::new()
    }
}
