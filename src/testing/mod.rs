//! A TCP proxy that injects faults, for tests of programs that have to survive them, with this
//! crate or without it.
//!
//! A [`FaultProxy`] listens on a free port of the loopback interface and relays to a server. Give
//! its address to the client. [`Plan`]s set the faults of later connections, and commands inject
//! faults into open ones. A seed gives random plans that can be repeated.
//!
//! | fault | what it simulates |
//! |---|---|
//! | [`Reset`](Fault::Reset) after some bytes | a crash in the middle of a message |
//! | [`Reset`](Fault::Reset) on accept | a peer that accepts and resets: a load balancer without a backend |
//! | [`Fin`](Fault::Fin) | a server that closes: a deploy, an idle limit |
//! | [`Stall`](Fault::Stall) | a server that hangs; [`resume`](FaultProxy::resume) ends it |
//! | [`HalfOpen`](Fault::HalfOpen) | a NAT that forgot the flow, a host that lost its power |
//! | [`Timeout`](Fault::Timeout) | a server that hangs until a load balancer closes the connection |
//! | [`OneByteAtATime`](Fault::OneByteAtATime), [`Slice`](Fault::Slice) | code that takes one read for one message |
//! | [`Delay`](Fault::Delay) | timeouts that are too short |
//! | [`Latency`](Fault::Latency) | a distant server: answers are late, and bytes are in flight |
//! | [`Bandwidth`](Fault::Bandwidth) | a narrow line; writers that fill their buffers |
//! | [`SlowClose`](Fault::SlowClose) | clients that wait for the end of an answer |
//! | [`Refuse`](Fault::Refuse) | a restart: the port refuses for a while |
//!
//! It is a test tool. It spawns tasks, as of the rest of the crate only sessions do, and it keeps its counters
//! behind locks. Sockets use real time. The proxy works under Tokio's paused clock, but delays,
//! backoffs and timeouts end before the kernel has answered.
//!
//! # TLS
//!
//! The proxy relays bytes and knows nothing of TLS. In front of a TLS server it needs no certificate:
//! the client connects to [`addr`](FaultProxy::addr) and verifies the name of the server, as without
//! the proxy (`TlsConnector` with that name over a connector to the proxy's address). A fault cuts,
//! delays or slices records, and the bytes of a plan are those of the handshake and of encrypted
//! records. A [`Fin`](Fault::Fin) is an end without `close_notify`, which a client must take for a
//! truncation.
//!
//! To count bytes of the application instead, let a TLS terminator stand before the proxy and the
//! plain server behind it (client, TLS, terminator, proxy, server), or give the client a plain
//! connection in the test. A fault of the proxy then reaches the client as whatever the terminator
//! makes of it.
//!
//! # Examples
//!
//! A test of a client that survives a reset in the middle of an answer. It asserts that the reset
//! happened:
//!
//! ```
//! use std::io;
//! use reconnecting_stream::testing::{Direction, Fault, FaultProxy, Plan};
//! use reconnecting_stream::{ConnectionLost, ReconnectingStream, Seam};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::{TcpListener, TcpStream};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> io::Result<()> {
//! // The service: it answers every "ping" with "pong".
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let service = listener.local_addr()?;
//! tokio::spawn(async move {
//!     while let Ok((mut peer, _)) = listener.accept().await {
//!         tokio::spawn(async move {
//!             let mut ping = [0; 4];
//!             while peer.read_exact(&mut ping).await.is_ok() {
//!                 peer.write_all(b"pong").await?;
//!             }
//!             io::Result::Ok(())
//!         });
//!     }
//! });
//!
//! // The first connection dies after "pongpo".
//! let proxy = FaultProxy::start(service).await?;
//! proxy.script([Plan::new().after(6, Direction::ToClient, Fault::Reset)]);
//!
//! // The client under test sends its request again when a connection was lost.
//! let addr = proxy.addr();
//! let mut stream = ReconnectingStream::builder(move || TcpStream::connect(addr))
//!     .seam(Seam::Error)
//!     .connect()
//!     .await?;
//! let mut answers = 0;
//! while answers < 3 {
//!     let mut pong = [0; 4];
//!     let asked = async {
//!         stream.write_all(b"ping").await?;
//!         stream.read_exact(&mut pong).await
//!     };
//!     match asked.await {
//!         Ok(_) => answers += 1,
//!         Err(error) if ConnectionLost::find(&error).is_some() => continue,
//!         Err(error) => return Err(error),
//!     }
//!     assert_eq!(&pong, b"pong");
//! }
//! assert_eq!(proxy.stats().resets, 1);
//! assert_eq!(proxy.stats().accepted, 2);
//! # Ok(())
//! # }
//! ```

mod acceptor;
mod fault;
mod flow;
mod plan;
mod port;
mod proxy;
mod relay;
mod shaper;
mod socket;
mod state;
mod stats;

pub use fault::{Direction, Fault};
pub use plan::Plan;
pub use proxy::FaultProxy;
pub use stats::Stats;
