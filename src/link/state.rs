//! The states of a link.

use std::time::Duration;

/// The state of a stream, between one connection and the next.
///
/// ```text
///             loss                delay over
/// Connected ───────► Backoff ─────────────────► Connecting
///   ▲    │              ▲                         │  │  │
///   │    │              └─────────────────────────┘  │  │
///   │    │                     failed, timed out     │  │
///   │    └───────────────► GaveUp ◄──────────────────┘  │
///   │     permanent error, or nothing left to try       │
///   └───────────────────────────────────────────────────┘
///                          succeeded
/// ```
///
/// Every state can change to `Closed`, which is final. A reconnect on demand changes `GaveUp` to
/// `Backoff` without a delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// There is a connection that is not known to be dead.
    Connected {
        /// Its number, from 1.
        generation: u64,
    },
    /// Waiting before the next attempt.
    #[non_exhaustive]
    Backoff {
        /// The number that the attempt will have in this outage, from 1.
        attempt: u32,
        /// The length of the wait.
        delay: Duration,
    },
    /// An attempt is running.
    Connecting {
        /// Its number in this outage, from 1.
        attempt: u32,
    },
    /// There is no connection, and the peer makes the next one. Only the server's end of a session,
    /// behind the feature `session`, has this state.
    Detached,
    /// The outage ended without a connection.
    GaveUp,
    /// The stream was shut down, closed or dropped.
    Closed,
}
