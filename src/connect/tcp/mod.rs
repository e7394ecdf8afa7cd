//! The connector for TCP.

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
use self::socket::SocketOptions;
use super::attempt::Attempt;
use super::connect::Connect;

/// The "Connection Attempt Delay" that RFC 8305, section 5, recommends.
const HAPPY_EYEBALLS_DELAY: Duration = Duration::from_millis(250);

/// The shortest delay that RFC 8305, section 5, allows.
const MIN_HAPPY_EYEBALLS_DELAY: Duration = Duration::from_millis(10);

/// Connects to a server over TCP. It looks names up at every attempt, races addresses, and sets the
/// same socket options on every connection.
///
/// # Names, addresses, endpoints
///
/// If a name gets another address, the next attempt uses it. The addresses of a name are raced as
/// RFC 8305 describes ("Happy Eyeballs"). IPv6 and IPv4 addresses alternate. Each starts a
/// [delay](Self::happy_eyeballs_delay) after the previous one, or as soon as that has failed. The
/// first connection wins.
///
/// Several endpoints ([`any_of`](Self::any_of)) are raced in the same way, each with its name
/// lookup. An unreachable endpoint costs a quarter of a second instead of an attempt timeout. The
/// endpoints have to be equivalent, because the second may win under load. The endpoint whose
/// connection was lost, or with which a failed attempt began, is tried last in the next attempt.
///
/// # Detecting dead peers
///
/// A peer that loses its power or its route sends neither FIN nor RST. Two socket options detect
/// it: keepalive probes while the connection is idle, and the user timeout while written data is
/// not acknowledged. Neither detects a process that was stopped, because its kernel continues to
/// answer. [`Policy::idle_timeout`](crate::Policy::idle_timeout) does.
///
/// # Defaults
///
/// | setting | default | why |
/// |---|---|---|
/// | [`nodelay`](Self::nodelay) | on | a small write does not wait for the acknowledgement of the previous one (`tcp(7)`, `TCP_NODELAY`) |
/// | [`keepalive`](Self::keepalive) | 15 s, then 3 probes 5 s apart | an idle dead connection is detected after 30 s; the system's default is two hours |
/// | [`user_timeout`](Self::user_timeout) | 30 s | the same with data in flight; the system's default is about 15 minutes (`tcp(7)`, `tcp_retries2`) |
/// | [`happy_eyeballs_delay`](Self::happy_eyeballs_delay) | 250 ms | RFC 8305, section 5 |
/// | buffer sizes, bind address | the system's | the system adapts the buffers to the connection |
///
/// # Errors
///
/// An attempt fails with an [`io::Error`] that has an [`Unreachable`] inside, which lists every
/// address that was tried. An empty list of endpoints, or an endpoint without a port, is
/// [`InvalidInput`](io::ErrorKind::InvalidInput), after which the stream gives up.
///
/// # Cancel safety
///
/// Dropping an attempt closes its sockets. A name lookup continues on a thread of the runtime
/// (`getaddrinfo(3)`), and its result is dropped.
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
    options: SocketOptions,
    happy_eyeballs_delay: Duration,
}

impl TcpConnector {
    /// Returns a connector to one endpoint: a host name or an IP address, with a port.
    pub fn new(endpoint: impl Into<Endpoint>) -> Self {
        Self::any_of([endpoint])
    }

    /// Returns a connector to several equivalent endpoints, which are tried in this order. The first
    /// connection wins.
    pub fn any_of<I>(endpoints: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Endpoint>,
    {
        Self {
            rotation: Rotation::new(endpoints.into_iter().map(Into::into).collect()),
            options: SocketOptions::new(),
            happy_eyeballs_delay: HAPPY_EYEBALLS_DELAY,
        }
    }

    /// Sets whether small writes are sent immediately (`TCP_NODELAY`).
    pub const fn nodelay(mut self, on: bool) -> Self {
        self.options.nodelay = on;
        self
    }

    /// Sets the keepalive probes of an idle connection; `None` turns them off.
    pub fn keepalive(mut self, keepalive: impl Into<Option<Keepalive>>) -> Self {
        self.options.keepalive = keepalive.into();
        self
    }

    /// Limits how long written data may stay unacknowledged before the connection is lost
    /// (`TCP_USER_TIMEOUT`, RFC 5482): 1 ms to 24 days, `None` for the system's default. It has an
    /// effect only on Linux, Android and Fuchsia.
    ///
    /// On Linux it also replaces the count of keepalive probes (`tcp(7)`). A limit shorter than the
    /// keepalive's `idle + probes * interval` closes an idle connection earlier. The defaults are
    /// equal.
    pub fn user_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.options.user_timeout = limit.into();
        self
    }

    /// Sets the size of the socket's send buffer in bytes (`SO_SNDBUF`); with `None` the system
    /// adapts it.
    pub fn send_buffer_size(mut self, bytes: impl Into<Option<u32>>) -> Self {
        self.options.send_buffer_size = bytes.into();
        self
    }

    /// Sets the size of the socket's receive buffer in bytes (`SO_RCVBUF`); with `None` the system
    /// adapts it.
    pub fn recv_buffer_size(mut self, bytes: impl Into<Option<u32>>) -> Self {
        self.options.recv_buffer_size = bytes.into();
        self
    }

    /// Sets the local address to connect from; with `None` the system chooses it. Remote addresses
    /// of the other family are not tried.
    pub fn bind_address(mut self, local: impl Into<Option<IpAddr>>) -> Self {
        self.options.bind_address = local.into();
        self
    }

    /// Sets the delay after which the next address or endpoint is tried in parallel: at least 10 ms
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

/// Looks up one endpoint and races its addresses.
async fn connect_to(
    endpoint: Endpoint,
    options: Arc<SocketOptions>,
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
