//! The connector of an address.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

#[cfg(feature = "rustls")]
use std::sync::Arc;
#[cfg(feature = "rustls")]
use tokio_rustls::rustls::ClientConfig;

use super::stream::AddressStream;
use super::{Address, HostPort, Kind};
use crate::connect::TcpConnector;
#[cfg(feature = "rustls")]
use crate::connect::TlsConnector;
#[cfg(unix)]
use crate::connect::UnixConnector;
use crate::connect::attempt::Attempt;
use crate::connect::connect::Connect;

/// Connects to an [`Address`], over TCP, TLS or a Unix socket. See [`TcpConnector`] and the others
/// for errors, defaults and cancel safety.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use reconnecting_stream::{AddressConnector, ReconnectingStream};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let upstream = std::env::args().nth(1).unwrap_or("tcp://localhost:6379".into());
/// let connector = AddressConnector::new(upstream.parse()?)
///     .tcp_options(|tcp| tcp.user_timeout(Duration::from_secs(5)));
/// let stream = ReconnectingStream::connect(connector).await?;
/// # let _ = stream;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct AddressConnector {
    target: Target,
    #[cfg(feature = "rustls")]
    tls_config: Option<Arc<ClientConfig>>,
}

#[derive(Clone)]
enum Target {
    Tcp(TcpConnector),
    #[cfg(feature = "rustls")]
    Tls(TcpConnector, HostPort),
    #[cfg(unix)]
    Unix(UnixConnector),
}

impl AddressConnector {
    /// Returns a connector to this address.
    pub fn new(address: Address) -> Self {
        Self {
            target: match address.0 {
                Kind::Tcp(host_port) => Target::Tcp(tcp(&host_port)),
                #[cfg(feature = "rustls")]
                Kind::Tls(host_port) => Target::Tls(tcp(&host_port), host_port),
                #[cfg(unix)]
                Kind::Unix(path) => Target::Unix(UnixConnector::new(path)),
            },
            #[cfg(feature = "rustls")]
            tls_config: None,
        }
    }

    /// Sets the TLS configuration, which a `tls://` address needs and another one ignores. Without
    /// it an attempt fails with [`InvalidInput`](io::ErrorKind::InvalidInput), after which the
    /// stream gives up.
    #[cfg(feature = "rustls")]
    pub fn tls_config(mut self, config: impl Into<Arc<ClientConfig>>) -> Self {
        self.tls_config = Some(config.into());
        self
    }

    /// Sets options of TCP, for an address that is reached over TCP.
    pub fn tcp_options(mut self, set: impl FnOnce(TcpConnector) -> TcpConnector) -> Self {
        self.target = match self.target {
            Target::Tcp(tcp) => Target::Tcp(set(tcp)),
            #[cfg(feature = "rustls")]
            Target::Tls(tcp, host_port) => Target::Tls(set(tcp), host_port),
            #[cfg(unix)]
            Target::Unix(unix) => Target::Unix(unix),
        };
        self
    }

    /// Sets options of a Unix socket, for the address of one.
    #[cfg(unix)]
    pub fn unix_options(mut self, set: impl FnOnce(UnixConnector) -> UnixConnector) -> Self {
        if let Target::Unix(unix) = self.target {
            self.target = Target::Unix(set(unix));
        }
        self
    }
}

fn tcp(host_port: &HostPort) -> TcpConnector {
    TcpConnector::new((host_port.host.as_str(), host_port.port))
}

type Dialing = Pin<Box<dyn Future<Output = io::Result<AddressStream>> + Send>>;

impl Connect for AddressConnector {
    type Io = AddressStream;
    type Future = Dialing;

    fn connect(&mut self, attempt: &Attempt) -> Dialing {
        match &mut self.target {
            Target::Tcp(tcp) => {
                let connecting = tcp.connect(attempt);
                Box::pin(async { connecting.await.map(AddressStream::from) })
            }
            #[cfg(feature = "rustls")]
            Target::Tls(tcp, host_port) => {
                let (Some(config), Some(name)) = (&self.tls_config, host_port.server_name()) else {
                    return Box::pin(async { Err(no_tls_config()) });
                };
                let mut tls = TlsConnector::new(tcp.clone(), name, Arc::clone(config));
                let connecting = tls.connect(attempt);
                // It knows which endpoint comes next.
                *tcp = tls.connector;
                Box::pin(async { connecting.await.map(AddressStream::from) })
            }
            #[cfg(unix)]
            Target::Unix(unix) => {
                let connecting = unix.connect(attempt);
                Box::pin(async { connecting.await.map(AddressStream::from) })
            }
        }
    }
}

#[cfg(feature = "rustls")]
fn no_tls_config() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "a tls:// address needs a configuration of TLS",
    )
}

impl fmt::Debug for AddressConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_tuple("AddressConnector");
        match &self.target {
            Target::Tcp(tcp) => out.field(tcp),
            #[cfg(feature = "rustls")]
            Target::Tls(tcp, host_port) => out.field(tcp).field(host_port),
            #[cfg(unix)]
            Target::Unix(unix) => out.field(unix),
        };
        out.finish()
    }
}
