//! The faults.

use std::time::Duration;

/// A fault of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Both sides get a reset (RST). On accept, the server never sees the connection.
    Reset,
    /// Both sides are closed gracefully (FIN). The kernel answers later data of the client with a
    /// reset, as after the close of any socket, so a client that is writing may see the reset
    /// first.
    Fin,
    /// Both sides stay open, and nothing is relayed, not even an end of a stream, until
    /// [`FaultProxy::resume`](super::FaultProxy::resume), or until both are reset 5 s after the client
    /// has closed its side. On accept, the proxy connects to the
    /// server only then.
    Stall,
    /// The server's side is reset. The client's side stays open, but the proxy neither reads from
    /// it nor writes to it. The proxy resets that side 5 s after the client has closed its own. If the
    /// client has filled the window before, its end can't arrive, and the proxy keeps the socket
    /// until a `Reset`, a `Fin`, or its own end.
    HalfOpen,
    /// As `Stall`, but after this time both sides are closed, as by `Fin`, and not before, even if the
    /// client has closed its side. A later `Timeout` replaces the time, and a later `Stall` revokes it.
    Timeout(Duration),
    /// Each later byte is written by itself, without Nagle's algorithm. It usually has a segment of its
    /// own, but the kernel may merge those that wait for the congestion window or for a slow reader.
    OneByteAtATime,
    /// Each later write has at most so many bytes. 0 counts as 1. The kernel may merge them as those of
    /// `OneByteAtATime`.
    Slice(usize),
    /// Each later read, of at most 16 KiB, is relayed after this delay, and the next read begins only
    /// then. So it limits the throughput, too. A reset is not late. It replaces a `Latency`.
    Delay(Duration),
    /// Each later byte arrives this long after it was sent, in both directions, as on a long line:
    /// more is sent meanwhile, and the throughput stays. It replaces a `Delay`.
    ///
    /// Each read of the proxy is late by a random time between `delay - jitter` and `delay + jitter`,
    /// but never overtakes an earlier one. The end of a stream is late as well, but a reset is not: it
    /// overtakes what is in flight. The [seed](super::Plan::seed) of the plan determines the times.
    ///
    /// At most 1 MiB, or 1,024 reads, is in flight in each direction. Then the proxy reads no more
    /// until the first bytes have arrived.
    Latency {
        /// The mean time.
        delay: Duration,
        /// The greatest deviation. More than `delay` counts as `delay`.
        jitter: Duration,
    },
    /// Later bytes of this direction are relayed at this rate at most, on average. Single bursts are
    /// of 10 ms, after an idle time of 20 ms. With a `Latency`, each byte is late first and then waits
    /// for its turn. A reset does not wait.
    Bandwidth {
        /// The direction that is limited. The other one stays as it is.
        direction: Direction,
        /// The rate, in bytes per second. 0 counts as 1: use [`Stall`](Self::Stall) for a connection
        /// on which nothing moves.
        bytes_per_second: u64,
    },
    /// The end of each direction (FIN) is relayed this long after the bytes before it.
    SlowClose(Duration),
    /// Both sides get a reset, and the port refuses new connections for this long. It is a fault of a
    /// connection: [`refuse`](super::FaultProxy::refuse) needs none.
    Refuse(Duration),
}

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}
