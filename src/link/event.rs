//! The events of a link.

use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A change of a stream, passed to its observer in the order in which the changes happen.
///
/// A loss is reported as `Lost`, then one `Retrying` for each attempt and `AttemptFailed` for each
/// that fails, then `Connected` or `GaveUp`. A stream that begins lazily makes its first attempt
/// without a `Retrying`. A [`reconnect`](crate::Handle::reconnect) during a backoff shortens the
/// wait for an attempt that has been reported already.
///
/// The numbers of attempts and the downtimes are those of the outage. It continues after
/// `Connected` until the connection has been up for
/// [`stable_after`](crate::Policy::stable_after): a connection that dies before that is part of it.
///
/// At the server's end of a session the client makes the connections. There are `Lost`, `Connected`
/// and `Closed` only.
///
/// When an event is reported, [`Handle::state`](crate::Handle::state) is already the state after
/// it. If the observer panics, the remaining events of the same change are reported before the
/// panic continues in the task that polled.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The connection is dead; it has been dropped already.
    #[non_exhaustive]
    Lost {
        /// The generation of the connection.
        generation: u64,
        /// The cause of the loss.
        cause: Arc<io::Error>,
        /// How long the connection had been up.
        uptime: Duration,
    },
    /// Another attempt will be made.
    #[non_exhaustive]
    Retrying {
        /// Its number in this outage, from 1.
        attempt: u32,
        /// The delay before the attempt.
        delay: Duration,
        /// How long the outage has lasted.
        downtime: Duration,
    },
    /// An attempt has failed or timed out.
    #[non_exhaustive]
    AttemptFailed {
        /// Its number in this outage, from 1.
        attempt: u32,
        /// The error of the attempt.
        error: Arc<io::Error>,
        /// How long the outage has lasted.
        downtime: Duration,
    },
    /// There is a connection.
    #[non_exhaustive]
    Connected {
        /// Its generation, from 1.
        generation: u64,
        /// The number of attempts in the outage; 0 for a connection that existed already, was made by
        /// `connect` without [`retry_initial_connect`](crate::Builder::retry_initial_connect), or was
        /// accepted by a server.
        attempts: u32,
        /// How long the outage has lasted.
        downtime: Duration,
    },
    /// The outage has ended without a connection.
    #[non_exhaustive]
    GaveUp {
        /// How many attempts it had.
        attempts: u32,
        /// How long it lasted.
        outage: Duration,
        /// What the last attempt failed with, or the cause of the loss.
        last_error: Arc<io::Error>,
    },
    /// The stream was closed. No connection will follow. A stream that is dropped reports nothing,
    /// not even a [`close`](crate::Handle::close) after its last poll. A session reports it when it
    /// has ended, unless its policy has given up.
    #[non_exhaustive]
    Closed {},
}
