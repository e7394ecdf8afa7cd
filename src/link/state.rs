//! Where a link is.

use std::time::Duration;

/// Where a stream is on its way from one connection to the next.
///
/// ```text
///             loss                 delay over
/// Connected ───────► Backoff ──────────────────► Connecting
///     ▲                 ▲  │                       │   │
///     │                 │  └──► GaveUp ◄───────────│───┤ permanent error
///     │                 └──────────────────────────┘   │
///     │                      failed, timed out         │
///     └────────────────────────────────────────────────┘ succeeded
/// ```
///
/// `Closed` is reached from everywhere, and left for nowhere. `GaveUp` is left for `Connecting`
/// when a reconnect is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// There is a connection, as far as anybody knows.
    Connected {
        /// Its number, from 1.
        generation: u64,
    },
    /// Waiting before the next attempt.
    #[non_exhaustive]
    Backoff {
        /// The number that the attempt will have in this outage, from 1.
        attempt: u32,
        /// How long the wait is, from its beginning.
        delay: Duration,
    },
    /// An attempt is running.
    Connecting {
        /// Its number in this outage, from 1.
        attempt: u32,
    },
    /// The outage was ended without a connection.
    GaveUp,
    /// Shut down, closed or dropped.
    Closed,
}
