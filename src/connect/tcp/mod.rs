//! Connects to a server over TCP, as a service in production should.

mod endpoint;
mod error;
mod race;
mod rotation;
mod socket;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

pub use endpoint::Endpoint;
pub use error::{EndpointFailure, Unreachable};
pub use socket::Keepalive;

use self::endpoint::interleaved;
use self::race::race;
use self::rotation::Rotation;
use self::socket::Options;
use super::{Attempt, Connect};

/// "Connection Attempt Delay", recommended by RFC 8305, section 5.
const HAPPY_EYEBALLS_DELAY: Duration = Duration::from_millis(250);

/// RFC 8305, section 5: it must not be shorter.
const MIN_HAPPY_EYEBALLS_DELAY: Duration = Duration::from_millis(10);

/// Connects to a server over TCP: names are looked up anew at every attempt, addresses are
/// raced, and every new connection has the options of the first.
///
/// # Names, addresses, endpoints
///
/// A name that moves to another address is followed at the next attempt. Its addresses are raced
/// as RFC 8305 describes ("Happy Eyeballs"): IPv6 and IPv4 by turns, each a
/// [delay](Self::happy_eyeballs_delay) after the one before, or as soon as that has failed; the first
/// that connects wins.
///
/// Several endpoints ([`any_of`](Self::any_of)) are raced in the same way, each with its name
/// lookup: one that is gone costs a quarter of a second, not an attempt timeout. They have to be
/// equivalent: under load the second may win. The endpoint that has failed, because its
/// connection was lost or the attempt waited for it in vain, goes last in the next attempt.
///
/// # A peer that vanishes
///
/// A peer that loses its power or its route sends neither FIN nor RST. Two options of the socket
/// notice it: keepalive probes while the connection is idle, and the user timeout while something
/// that was written is not acknowledged. Neither sees a peer that was stopped while its kernel
/// goes on to answer; [`Policy::idle_timeout`](crate::Policy::idle_timeout) does.
///
/// # Defaults
///
/// | setting | default | why |
/// |---|---|---|
/// | [`nodelay`](Self::nodelay) | on | a small write does not wait for the acknowledgement of the one before (`tcp(7)`, `TCP_NODELAY`) |
/// | [`keepalive`](Self::keepalive) | 15 s, then 3 probes 5 s apart | an idle connection is known to be dead after 30 s; the system's own is two hours |
/// | [`user_timeout`](Self::user_timeout) | 30 s | the same with data on its way; the system's own is about 15 minutes (`tcp(7)`, `tcp_retries2`) |
/// | [`happy_eyeballs_delay`](Self::happy_eyeballs_delay) | 250 ms | RFC 8305, section 5 |
/// | buffer sizes, bind address | the system's | it adapts the buffers to the connection |
///
/// # Errors
///
/// An attempt fails with an [`Unreachable`] inside of its [`io::Error`], which tells every
/// address that was tried. An empty list of endpoints, or one without a port, is
/// [`InvalidInput`](io::ErrorKind::InvalidInput), after which the stream gives up.
///
/// # Cancel safety
///
/// A dropped attempt closes its sockets. A name lookup runs on a thread of the runtime
/// (`getaddrinfo(3)`), and its answer is thrown away.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use reconnecting_stream::{ReconnectingTcpStream, TcpConnector};
///
/// # async fn example() -> std::io::Result<()> {
/// let stream = ReconnectingTcpStream::connect(TcpConnector::new("db.example:5432")).await?;
///
/// let replicas = TcpConnector::any_of(["db1.example:5432", "db2.example:5432"])
///     .user_timeout(Duration::from_secs(5));
/// let stream = ReconnectingTcpStream::connect(replicas).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TcpConnector {
    rotation: Rotation,
    options: Options,
    happy_eyeballs_delay: Duration,
}

impl TcpConnector {
    /// To one endpoint: a name with a port, or an address with one.
    pub fn new(endpoint: impl Into<Endpoint>) -> Self {
        Self::any_of([endpoint])
    }

    /// To whichever of several equivalent endpoints answers first, in this order.
    pub fn any_of<I>(endpoints: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Endpoint>,
    {
        Self {
            rotation: Rotation::new(endpoints.into_iter().map(Into::into).collect()),
            options: Options::new(),
            happy_eyeballs_delay: HAPPY_EYEBALLS_DELAY,
        }
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`).
    pub const fn nodelay(mut self, on: bool) -> Self {
        self.options.nodelay = on;
        self
    }

    /// When an idle connection is probed, and when it is given up; `None` for never.
    pub fn keepalive(mut self, keepalive: impl Into<Option<Keepalive>>) -> Self {
        self.options.keepalive = keepalive.into();
        self
    }

    /// How long something that was written may remain without an acknowledgement before the
    /// connection is lost (`TCP_USER_TIMEOUT`, RFC 5482): 1 ms to 24 days, `None` for the
    /// system's own limit. Only on Linux, Android and Fuchsia; elsewhere it has no effect.
    ///
    /// On Linux it takes the place of the count of keepalive probes, too (`tcp(7)`): it should
    /// not be shorter than the keepalive's `idle + probes * interval`, as the defaults are not,
    /// unless an idle connection may be given up earlier.
    pub fn user_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.options.user_timeout = limit.into();
        self
    }

    /// The size of the socket's send buffer in bytes (`SO_SNDBUF`); `None` lets the system adapt
    /// it.
    pub fn send_buffer_size(mut self, bytes: impl Into<Option<u32>>) -> Self {
        self.options.send_buffer_size = bytes.into();
        self
    }

    /// The size of the socket's receive buffer in bytes (`SO_RCVBUF`); `None` lets the system
    /// adapt it.
    pub fn recv_buffer_size(mut self, bytes: impl Into<Option<u32>>) -> Self {
        self.options.recv_buffer_size = bytes.into();
        self
    }

    /// The local address to connect from; `None` lets the system choose. Addresses of the other
    /// family are not tried.
    pub fn bind_address(mut self, local: impl Into<Option<IpAddr>>) -> Self {
        self.options.bind_address = local.into();
        self
    }

    /// How long an address or an endpoint has before the next is tried beside it: at least 10 ms
    /// (RFC 8305, section 5). With [`Duration::MAX`] the next is tried only after a failure.
    pub fn happy_eyeballs_delay(mut self, delay: Duration) -> Self {
        self.happy_eyeballs_delay = delay.max(MIN_HAPPY_EYEBALLS_DELAY);
        self
    }
}

impl Connect for TcpConnector {
    type Io = TcpStream;
    type Future = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

    fn connect(&mut self, _attempt: &Attempt) -> Self::Future {
        let endpoints = self.rotation.next().to_vec();
        let used = self.rotation.used();
        let delay = self.happy_eyeballs_delay;
        let options = Arc::new(self.options.clone());
        Box::pin(async move {
            let candidates = endpoints.into_iter().enumerate().map(|(index, endpoint)| {
                let options = Arc::clone(&options);
                async move {
                    let stream = connect_to(endpoint, options, delay).await?;
                    Ok((index, stream))
                }
            });
            let raced = race(candidates, delay).run().await;
            let (index, stream) = raced.map_err(|failures| Unreachable { failures })?;
            used.set(index);
            Ok(stream)
        })
    }
}

/// Races the addresses of one endpoint.
async fn connect_to(
    endpoint: Endpoint,
    options: Arc<Options>,
    delay: Duration,
) -> Result<TcpStream, Vec<EndpointFailure>> {
    let failure = |address: Option<SocketAddr>, error| EndpointFailure {
        endpoint: endpoint.clone(),
        address,
        error,
    };
    let found = endpoint.resolve().await;
    let mut addresses = found.map_err(|error| vec![failure(None, error)])?;
    addresses.retain(|address| options.can_reach(address));
    if addresses.is_empty() {
        let error = io::ErrorKind::AddrNotAvailable;
        return Err(vec![failure(None, error.into())]);
    }
    let (options, failure) = (&options, &failure);
    let candidates = interleaved(addresses)
        .into_iter()
        .map(|address| async move {
            let connected = options.connect(address).await;
            connected.map_err(|error| vec![failure(Some(address), error)])
        });
    race(candidates, delay).run().await
}
