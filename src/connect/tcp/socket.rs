//! The options of a socket, which are set before it connects.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};

/// The socket options of a [`TcpConnector`](super::TcpConnector).
#[derive(Clone, Debug)]
pub(super) struct SocketOptions {
    pub(super) nodelay: bool,
    pub(super) keepalive: Option<Keepalive>,
    pub(super) user_timeout: Option<Duration>,
    pub(super) send_buffer_size: Option<u32>,
    pub(super) recv_buffer_size: Option<u32>,
    pub(super) bind_address: Option<IpAddr>,
}

impl SocketOptions {
    pub(super) const fn new() -> Self {
        Self {
            nodelay: true,
            keepalive: Some(Keepalive::new()),
            user_timeout: Some(Duration::from_secs(30)),
            send_buffer_size: None,
            recv_buffer_size: None,
            bind_address: None,
        }
    }

    /// Returns true if a socket bound to `bind_address` can connect to this address.
    pub(super) fn can_reach(&self, address: &SocketAddr) -> bool {
        let fits = |local: IpAddr| local.is_ipv4() == address.is_ipv4();
        self.bind_address.is_none_or(fits)
    }

    /// Connects a new socket that has these options.
    pub(super) async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        self.apply(&socket)?;
        if let Some(local) = self.bind_address {
            socket.bind((local, 0).into())?;
        }
        let stream = socket.connect(address).await?;
        if is_self_connected(&stream) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(stream)
    }

    /// Sets the options. The buffer sizes have to be set before the handshake, which fixes the scale
    /// of the receive window (`tcp(7)`, RFC 7323).
    fn apply(&self, socket: &TcpSocket) -> io::Result<()> {
        socket.set_nodelay(self.nodelay)?;
        if let Some(size) = self.send_buffer_size {
            socket.set_send_buffer_size(size)?;
        }
        if let Some(size) = self.recv_buffer_size {
            socket.set_recv_buffer_size(size)?;
        }
        if let Some(keepalive) = &self.keepalive {
            SockRef::from(socket).set_tcp_keepalive(&keepalive.as_option())?;
        }
        self.apply_user_timeout(socket)
    }

    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    fn apply_user_timeout(&self, socket: &TcpSocket) -> io::Result<()> {
        let limits = Duration::from_millis(1)..=MAX_USER_TIMEOUT;
        let timeout = self.user_timeout;
        let timeout = timeout.map(|timeout| timeout.clamp(*limits.start(), *limits.end()));
        SockRef::from(socket).set_tcp_user_timeout(timeout)
    }

    #[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
    #[allow(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the system has no such option"
    )]
    fn apply_user_timeout(&self, _socket: &TcpSocket) -> io::Result<()> {
        Ok(())
    }
}

/// Returns true if the socket is connected to itself. If it connects to a closed port of its own
/// machine, the system may choose that port as its local port (the simultaneous open of RFC 9293,
/// section 3.5).
fn is_self_connected(stream: &TcpStream) -> bool {
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(local), Ok(peer)) => local == peer,
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// The longest user timeout. The option is an `int` of milliseconds.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const MAX_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

/// The settings of TCP keepalive: when an idle connection is probed, and when it is lost.
///
/// # Defaults
///
/// After 15 s without a byte a probe is sent every 5 s. The connection is lost after three
/// unanswered probes, which is 30 s after the last byte.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use reconnecting_stream::{Keepalive, TcpConnector};
///
/// let eager = Keepalive::default().idle(Duration::from_secs(5)).probes(2);
/// let connector = TcpConnector::new("127.0.0.1:6379").keepalive(eager);
/// # let _ = connector;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Keepalive {
    idle: Duration,
    interval: Duration,
    probes: u32,
}

/// `MAX_TCP_KEEPIDLE` and `MAX_TCP_KEEPINTVL` of Linux, in seconds.
const MAX_SECONDS: u64 = 32_767;

/// `MAX_TCP_KEEPCNT` of Linux.
const MAX_PROBES: u32 = 127;

impl Keepalive {
    /// Returns the default settings.
    pub const fn new() -> Self {
        Self {
            idle: Duration::from_secs(15),
            interval: Duration::from_secs(5),
            probes: 3,
        }
    }

    /// Sets how long the connection is idle before the first probe: whole seconds, 1 to 32,767
    /// (`TCP_KEEPIDLE`).
    pub const fn idle(mut self, silence: Duration) -> Self {
        self.idle = whole_seconds(silence);
        self
    }

    /// Sets the time between an unanswered probe and the next: whole seconds, 1 to 32,767
    /// (`TCP_KEEPINTVL`).
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = whole_seconds(interval);
        self
    }

    /// Sets the number of unanswered probes after which the connection is lost: 1 to 127
    /// (`TCP_KEEPCNT`).
    pub const fn probes(mut self, probes: u32) -> Self {
        self.probes = match probes {
            0 => 1,
            1..=MAX_PROBES => probes,
            _ => MAX_PROBES,
        };
        self
    }

    fn as_option(self) -> TcpKeepalive {
        let option = TcpKeepalive::new().with_time(self.idle);
        #[cfg(not(any(target_os = "openbsd", target_os = "haiku")))]
        let option = option
            .with_interval(self.interval)
            .with_retries(self.probes);
        option
    }
}

/// Rounds up to whole seconds, so that a fraction of a second is not zero.
const fn whole_seconds(duration: Duration) -> Duration {
    let rounds_up = duration.subsec_nanos() > 0;
    let seconds = duration.as_secs().saturating_add(rounds_up as u64);
    Duration::from_secs(match seconds {
        0 => 1,
        1..=MAX_SECONDS => seconds,
        _ => MAX_SECONDS,
    })
}

impl Default for Keepalive {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_socket_that_is_connected_to_itself_is_detected() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let own = socket.local_addr().unwrap();
        assert!(is_self_connected(&socket.connect(own).await.unwrap()));

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).await;
        assert!(!is_self_connected(&other.unwrap()));
    }

    #[test]
    fn keepalive_is_clamped_to_the_range_of_the_system() {
        let none = Duration::ZERO;
        let low = Keepalive::new().idle(none).interval(none).probes(0);
        assert_eq!((low.idle.as_secs(), low.interval.as_secs()), (1, 1));
        assert_eq!(low.probes, 1);
        let high = Keepalive::new().idle(Duration::MAX).interval(Duration::MAX);
        let high = high.probes(u32::MAX);
        assert_eq!(
            (high.idle.as_secs(), high.interval.as_secs()),
            (MAX_SECONDS, MAX_SECONDS)
        );
        assert_eq!(high.probes, MAX_PROBES);
        let odd = Keepalive::new().idle(Duration::from_millis(1500));
        assert_eq!(odd.idle, Duration::from_secs(2));
    }
}
