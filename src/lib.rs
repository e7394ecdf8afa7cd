//! A transport for Tokio that outlives its connections.
//!
//! A TCP connection dies: the server restarts, a firewall drops an idle flow, a peer sends RST.
//! [`ReconnectingStream`] is an [`AsyncRead`](tokio::io::AsyncRead) and
//! [`AsyncWrite`](tokio::io::AsyncWrite) that detects the loss, drops the dead connection, and
//! continues on a fresh one. Your connector makes it, under a [`Policy`]: exponential backoff with
//! jitter, a timeout for each attempt, a cap on attempts.
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
//! | data that was read before the loss | delivered |
//! | data that the dead connection had accepted and not delivered | **lost**, and neither side can tell how much: a `write` that returns `Ok` has reached a buffer of the kernel, not the peer |
//! | a read or a write that waits when the connection dies | with [`Seam::Hidden`] continues on the next connection. With the other seams it ends at the seam, and the next one continues |
//! | a message that the loss cut in two | with [`Seam::Hidden`], the default, **torn**: its tail goes to a peer that never received its head. With [`Seam::Error`] each half gets one error at the seam, so that it can send the message again |
//! | the order of the bytes of one connection | kept |
//! | everything else, if both ends use this crate's sessions (`ResumableStream`, feature `session`) | delivered, while both processes live and no outage is longer than the session's time to live |
//! | wake-ups | never lost: every change wakes the tasks of both halves, also if the half that polled last was dropped |
//!
//! A bare stream suits bytes that stand for themselves, such as a log, and protocols whose code
//! handles an error at the seam. Never put a client that matches replies to requests over a hidden
//! seam: after a loss it takes the reply to one request for the reply to another. For messages use
#![cfg_attr(
    feature = "codec",
    doc = "[`ReconnectingFramed`], which never tears one: its docs say what happens to each."
)]
#![cfg_attr(
    not(feature = "codec"),
    doc = "`ReconnectingFramed`, behind the feature `codec`."
)]
//!
//! # Contents
//!
//! - [`docs`]: the book. Start there: which type to use, client libraries, choosing a policy,
//!   logging in, observing, testing, moving from other crates, and a FAQ.
//! - [`ReconnectingStream`] and its [`Builder`]: bytes. [`ReconnectingReadHalf`] and
//!   [`ReconnectingWriteHalf`]: its halves, for two tasks.
#![cfg_attr(feature = "codec", doc = "- [`ReconnectingFramed`]: messages.")]
#![cfg_attr(
    feature = "codec",
    doc = "- [`MessageTransport`]: connections that speak messages themselves, such as a WebSocket."
)]
#![cfg_attr(
    feature = "codec",
    doc = "- [`docs::framed_over_stream`]: a plain `Framed` over a [`ReconnectingStream`]."
)]
#![cfg_attr(
    feature = "session",
    doc = "- [`ResumableStream`] and [`Sessions`]: bytes between two ends of your own, of which none is lost."
)]
#![cfg_attr(
    all(feature = "session", feature = "net"),
    doc = "  [`ResumableListener`] is the server's end over TCP."
)]
//! - [`Reconnecting`] and [`SharedReconnecting`]: clients that are no byte streams, for one task and
//!   for many.
//! - [`Seam`]: how it is reported to each half of a stream that its connection was replaced.
//! - [`Connect`], [`connect_fn`], [`Permanent`]: how to make a connection.
#![cfg_attr(
    feature = "net",
    doc = "- [`TcpConnector`]: the same for TCP, with names, several endpoints and socket options."
)]
#![cfg_attr(
    all(feature = "net", unix),
    doc = "- [`UnixConnector`]: the same for Unix sockets."
)]
#![cfg_attr(
    feature = "net",
    doc = "- [`Address`] and [`AddressConnector`]: either of them, or TLS, from a text such as `tcp://host:port`."
)]
#![cfg_attr(
    feature = "rustls",
    doc = "- [`TlsConnector`]: TLS over the connections of another connector."
)]
//! - [`Policy`], [`Backoff`], [`Verdict`]: what counts as a loss, when to retry, when to give up.
//! - [`Handle`], [`State`], [`Event`], [`Events`]: how to watch and command a stream from other
//!   tasks.
#![cfg_attr(
    feature = "metrics",
    doc = "- [`Metrics`]: an observer that records to the `metrics` facade."
)]
#![cfg_attr(
    feature = "testing",
    doc = "- [`testing`]: a proxy that injects faults, for the tests of services."
)]
//! - [`ConnectionLost`], [`GaveUp`]: the errors inside an [`io::Error`](std::io::Error).
//!
//! # Logs
//!
//! Events go to [`tracing`] under the target `reconnecting_stream`, in one span for each stream. A
//! loss and a connection are logged at `info`, attempts at `debug`, an outage that has lasted 30 s
//! once at `warn`, giving up at `error`.
//!
//! # Features
//!
//! - `codec` (on): `ReconnectingFramed` and `MessageTransport`.
//! - `net` (on): `TcpConnector` and `ReconnectingTcpStream`; on Unix `UnixConnector` and
//!   `ReconnectingUnixStream`. `Address`.
//! - `session` (off): `ResumableStream`, `Sessions`, and with `net` `ResumableListener`.
//! - `serde` (off): `Serialize` and `Deserialize` for [`Policy`], with durations such as `"1m 30s"`, for
//!   `Address` and for `SessionOptions`.
//! - `metrics` (off): `Metrics`, an observer that records to the `metrics` facade.
//! - `rustls` (off): `TlsConnector`, a TLS handshake over any connection. You choose the crypto
//!   provider.
//! - `testing` (off): a TCP proxy that injects faults, for the tests of services.
//! - `backoff` (off): `Backoff::from_backoff_crate`, an adapter for the schedules of the
//!   unmaintained `backoff` crate (RUSTSEC-2025-0012).

#![cfg_attr(docsrs, feature(doc_cfg))]
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
mod reconnecting;
mod seam;
#[cfg(feature = "session")]
mod session;
mod stream;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod timer;
#[cfg(feature = "rustls")]
mod tls_error;
#[cfg_attr(
    not(feature = "codec"),
    allow(dead_code, reason = "used for messages only")
)]
mod transfer;

pub use builder::{Builder, ByteStream};
#[cfg(all(feature = "net", unix))]
pub use connect::UnixConnector;
#[cfg(feature = "net")]
pub use connect::{Address, AddressConnector, AddressStream, ParseAddressError};
pub use connect::{AndThen, AndThenAttempt, Map, MapAttempt, Timeout, TimeoutAttempt};
pub use connect::{Attempt, BoxConnector, Connect, ConnectFn, connect_fn};
#[cfg(feature = "net")]
pub use connect::{Endpoint, EndpointFailure, Keepalive, TcpConnector, Unreachable};
#[cfg(feature = "rustls")]
pub use connect::{TlsAttempt, TlsConnector};
pub use error::{ConnectionLost, GaveUp, Permanent, ReuniteError};
#[cfg(feature = "codec")]
pub use framed::{
    ConfirmHandle, FramedBuilder, FramedOptions, OfflineQueue, ReconnectingFramed, Resend,
};
pub use link::{Event, Events, Handle, MissedEvents, State};
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub use policy::{Backoff, Eof, Jitter, Phase, Policy, Verdict};
pub use reconnecting::{Lease, Reconnecting, SharedReconnecting, Supervised};
pub use seam::Seam;
#[cfg(feature = "session")]
pub use session::{
    Accepted, Reason as SessionLostReason, ResumableBuilder, ResumableReadHalf, ResumableStream,
    ResumableWriteHalf, SessionId, SessionLost, SessionOptions, Sessions,
};
#[cfg(all(feature = "session", feature = "net"))]
pub use session::{ResumableListener, ResumableListenerBuilder};
#[cfg(feature = "codec")]
pub use stream::MessageTransport;
#[cfg(feature = "net")]
pub use stream::ReconnectingTcpStream;
#[cfg(all(feature = "net", unix))]
pub use stream::ReconnectingUnixStream;
pub use stream::{ReconnectingReadHalf, ReconnectingStream, ReconnectingWriteHalf};
