//! A transport for Tokio that outlives its connections.
//!
//! A TCP connection dies: the server restarts, a firewall drops an idle flow, a peer sends RST.
//! [`ReconnectingStream`] is an [`AsyncRead`](tokio::io::AsyncRead) and
//! [`AsyncWrite`](tokio::io::AsyncWrite) that sees it, drops the dead connection, and goes on
//! with a fresh one, made by your connector under a [`Policy`]: exponential backoff with jitter,
//! a timeout for each attempt, a cap on attempts.
//!
//! ```no_run
//! # use reconnecting_stream::ReconnectingStream;
//! # use tokio::net::TcpStream;
//! # async fn example() -> std::io::Result<()> {
//! let stream = ReconnectingStream::connect(|| TcpStream::connect("127.0.0.1:6379")).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is lost, and what is not
//!
//! | | |
//! |---|---|
//! | what was read before the loss | yours |
//! | what the dead connection had accepted, and had not delivered | **lost**, and nobody can tell how much: a `write` that answers `Ok` has reached a buffer of the kernel, not the peer |
//! | a read or a write that waits when the connection dies | goes on, on the next connection |
//! | a message that was cut by the loss | with [`Seam::Hidden`], the default, **torn**: its tail goes to a peer that never saw its head. With [`Seam::Error`] each half gets one error at the seam, so that it can begin its message again |
//! | the order of the bytes of one connection | kept |
//! | a wake-up | never: whoever polled last and whoever is gone, both halves are woken |
//!
//! So a bare stream suits bytes that stand for themselves, and protocols whose code handles an
//! error at the seam. For messages there is
#![cfg_attr(
    feature = "codec",
    doc = "[`ReconnectingFramed`], which never tears one: its docs say what becomes of each."
)]
#![cfg_attr(
    not(feature = "codec"),
    doc = "`ReconnectingFramed`, behind the feature `codec`."
)]
//!
//! # Where to look
//!
//! - [`docs`]: the book. Begin there: which of these to use, choosing a policy, logging in,
//!   observing, testing, moving from `stubborn-io`, and why.
//! - [`ReconnectingStream`] and its [`Builder`]: bytes.
#![cfg_attr(feature = "codec", doc = "- [`ReconnectingFramed`]: messages.")]
#![cfg_attr(
    feature = "codec",
    doc = "- [`MessageTransport`]: connections that speak messages themselves, such as a WebSocket."
)]
#![cfg_attr(
    feature = "codec",
    doc = "- [`docs::framed_over_stream`]: what becomes of a plain `Framed` over a [`ReconnectingStream`]."
)]
//! - [`Seam`]: what its user gets to know of a swap.
//! - [`Connect`], [`connect_fn`], [`Permanent`]: how to make a connection.
#![cfg_attr(
    feature = "net",
    doc = "- [`TcpConnector`]: the same for TCP, with names, several endpoints and socket options."
)]
#![cfg_attr(
    feature = "rustls",
    doc = "- [`TlsConnector`]: TLS on top of what another connector connects."
)]
//! - [`Policy`], [`Backoff`], [`Verdict`]: what a loss is, when to try again, when to give up.
//! - [`Handle`], [`State`], [`Event`]: how to watch and command a stream from elsewhere.
//! - [`ConnectionLost`], [`GaveUp`]: what is inside of the [`io::Error`](std::io::Error)s.
//!
//! # Logs
//!
//! Lines go to [`tracing`] under the target `reconnecting_stream`, in a span for each stream: a
//! loss and a connection are `info`, attempts `debug`, an outage that has lasted for 30 s is one
//! `warn`, giving up is an `error`.
//!
//! # Features
//!
//! - `codec` (on): `ReconnectingFramed`.
//! - `net` (on): `TcpConnector` and `ReconnectingTcpStream`.
//! - `serde` (off): `Serialize` and `Deserialize` for [`Policy`], with durations as a person writes
//!   them.
//! - `metrics` (off): `Metrics`, an observer that counts for the `metrics` facade.
//! - `rustls` (off): `TlsConnector`, a TLS handshake on top of any connection. The provider of
//!   its cryptography is yours to choose.
//! - `testing` (off): a TCP proxy that injects faults, for the tests of services.
//! - `backoff` (off): `Backoff::from_backoff_crate`, an adapter for the schedules of the
//!   unmaintained `backoff` crate (RUSTSEC-2025-0012).

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

mod builder;
mod connect;
pub mod docs;
mod error;
#[cfg(feature = "codec")]
mod framed;
mod link;
#[cfg(feature = "metrics")]
mod metrics;
mod policy;
mod seam;
mod stream;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "rustls")]
mod tls_error;
#[cfg_attr(
    not(feature = "codec"),
    allow(dead_code, reason = "what only messages need")
)]
mod transfer;

pub use builder::{Builder, ByteStream};
pub use connect::{AndThen, AndThenAttempt, Map, MapAttempt, Timeout, TimeoutAttempt};
pub use connect::{Attempt, BoxConnector, Connect, ConnectFn, connect_fn};
#[cfg(feature = "net")]
pub use connect::{Endpoint, EndpointFailure, Keepalive, TcpConnector, Unreachable};
#[cfg(feature = "rustls")]
pub use connect::{TlsAttempt, TlsConnector};
pub use error::{ConnectionLost, GaveUp, Permanent};
#[cfg(feature = "codec")]
pub use framed::{
    ConfirmHandle, FramedBuilder, FramedOptions, OfflineQueue, ReconnectingFramed, Resend,
};
pub use link::{Event, Handle, State};
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub use policy::{Backoff, Eof, Jitter, Phase, Policy, Verdict};
pub use seam::Seam;
#[cfg(feature = "codec")]
pub use stream::MessageTransport;
pub use stream::ReconnectingStream;
#[cfg(feature = "net")]
pub use stream::ReconnectingTcpStream;
