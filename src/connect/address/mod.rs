//! Addresses that are written as one text, and their connector.

mod connector;
mod error;
mod parse;
mod stream;

#[cfg(unix)]
use std::path::Path;

pub use connector::AddressConnector;
pub use error::ParseAddressError;
pub use stream::AddressStream;

/// The address of a server and how to reach it, as a text for configuration files and arguments.
///
/// | text | server |
/// |---|---|
/// | `tcp://host:port` | at a host name, an IPv4 address, or an IPv6 address in brackets |
/// | `unix:/path`, `unix:///path` | at the absolute path of a Unix socket, on Unix |
/// | `tls://host:port` | as `tcp`, with TLS (feature `rustls`). The certificate has to be valid for the host |
///
/// The port is required. [`ParseAddressError`] names the part of another text that is wrong. With
/// the feature `serde` an address is read from its text and written as it.
///
/// [`AddressConnector`] connects to it.
///
/// # Examples
///
/// ```
/// use reconnecting_stream::{Address, ParseAddressError};
///
/// let address: Address = "tcp://[::1]:5432".parse()?;
/// assert_eq!((address.host(), address.port()), (Some("::1"), Some(5432)));
/// assert_eq!(address.to_string(), "tcp://[::1]:5432");
///
/// let error = "tcp://db.example".parse::<Address>().unwrap_err();
/// assert_eq!(error, ParseAddressError::MissingPort);
/// # Ok::<(), ParseAddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address(Kind);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Tcp(HostPort),
    #[cfg(feature = "rustls")]
    Tls(HostPort),
    #[cfg(unix)]
    Unix(String),
}

/// A valid host and a port that is not 0. An IPv6 address has no brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct HostPort {
    host: String,
    port: u16,
}

impl Address {
    /// Returns the host name or IP address, an IPv6 address without its brackets; `None` for a Unix
    /// socket.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        Some(&self.host_port()?.host)
    }

    /// Returns the port; `None` for a Unix socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        Some(self.host_port()?.port)
    }

    /// Returns the path of the Unix socket; `None` for a host.
    #[cfg(unix)]
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Unix(path) => Some(Path::new(path)),
            Kind::Tcp(_) => None,
            #[cfg(feature = "rustls")]
            Kind::Tls(_) => None,
        }
    }

    /// Returns whether the connection has TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        match &self.0 {
            #[cfg(feature = "rustls")]
            Kind::Tls(_) => true,
            Kind::Tcp(_) => false,
            #[cfg(unix)]
            Kind::Unix(_) => false,
        }
    }

    fn host_port(&self) -> Option<&HostPort> {
        match &self.0 {
            Kind::Tcp(host_port) => Some(host_port),
            #[cfg(feature = "rustls")]
            Kind::Tls(host_port) => Some(host_port),
            #[cfg(unix)]
            Kind::Unix(_) => None,
        }
    }
}

#[cfg(feature = "rustls")]
impl HostPort {
    /// Returns the name that the certificate has to be valid for.
    fn server_name(&self) -> Option<tokio_rustls::rustls::pki_types::ServerName<'static>> {
        self.host.clone().try_into().ok()
    }
}
