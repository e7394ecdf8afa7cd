//! The addresses of a server.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::lookup_host;

/// The address of a server: a host name or an IP address, with a port.
///
/// # Examples
///
/// ```
/// use std::net::IpAddr;
/// use reconnecting_stream::Endpoint;
///
/// let by_name = Endpoint::from("db.example:5432");
/// let by_address = Endpoint::from((IpAddr::from([127, 0, 0, 1]), 5432));
/// assert_eq!(by_name.to_string(), "db.example:5432");
/// assert_eq!(by_address, Endpoint::from("127.0.0.1:5432"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint(Target);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Target {
    Address(SocketAddr),
    /// A host name with a port. The lookup fails if the port is missing.
    Name(String),
}

impl Endpoint {
    /// Looks the name up, without a cache. The addresses have the order of the system's resolver
    /// (RFC 6724).
    ///
    /// Fails with [`NotFound`](io::ErrorKind::NotFound) if the name has no address, and with
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it has no port.
    pub(super) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let name = match &self.0 {
            Target::Address(address) => return Ok(vec![*address]),
            Target::Name(name) => name,
        };
        let addresses: Vec<_> = lookup_host(name).await?.collect();
        if addresses.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            ));
        }
        Ok(addresses)
    }
}

impl From<&str> for Endpoint {
    fn from(endpoint: &str) -> Self {
        endpoint.to_owned().into()
    }
}

impl From<String> for Endpoint {
    fn from(endpoint: String) -> Self {
        Self(match endpoint.parse() {
            Ok(address) => Target::Address(address),
            Err(_) => Target::Name(endpoint),
        })
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self(Target::Address(address))
    }
}

impl From<(IpAddr, u16)> for Endpoint {
    fn from(address: (IpAddr, u16)) -> Self {
        SocketAddr::from(address).into()
    }
}

impl From<(&str, u16)> for Endpoint {
    fn from((host, port): (&str, u16)) -> Self {
        match host.parse::<IpAddr>() {
            Ok(ip) => (ip, port).into(),
            Err(_) => format!("{host}:{port}").into(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Address(address) => address.fmt(f),
            Target::Name(name) => f.write_str(name),
        }
    }
}

/// Returns the addresses of one endpoint in the order in which they are tried. The families
/// alternate, beginning with that of the first address, and each keeps its order (RFC 8305,
/// section 4).
pub(super) fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else {
        return addresses;
    };
    let is_v4 = first.is_ipv4();
    let (same, other): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv4() == is_v4);
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut order = Vec::new();
    loop {
        let before = order.len();
        order.extend(same.next());
        order.extend(other.next());
        if order.len() == before {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter()
            .map(|address| address.parse().unwrap())
            .collect()
    }

    #[test]
    fn the_address_families_alternate() {
        let given = addresses(&[
            "[2001:db8::1]:1",
            "[2001:db8::2]:1",
            "[2001:db8::3]:1",
            "192.0.2.1:1",
            "192.0.2.2:1",
        ]);
        let order = addresses(&[
            "[2001:db8::1]:1",
            "192.0.2.1:1",
            "[2001:db8::2]:1",
            "192.0.2.2:1",
            "[2001:db8::3]:1",
        ]);
        assert_eq!(interleaved(given), order);
    }

    #[test]
    fn the_family_of_the_first_address_comes_first() {
        let given = addresses(&["192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1"]);
        let order = addresses(&["192.0.2.1:1", "[2001:db8::1]:1", "192.0.2.2:1"]);
        assert_eq!(interleaved(given), order);
        assert_eq!(interleaved(vec![]), []);
    }

    #[test]
    fn an_endpoint_is_displayed_as_it_was_given() {
        for text in ["db.example:5432", "127.0.0.1:1", "[::1]:1", "no port"] {
            assert_eq!(Endpoint::from(text).to_string(), text);
        }
        assert_eq!(Endpoint::from(("::1", 5432)).to_string(), "[::1]:5432");
        assert_eq!(Endpoint::from(("db", 5432)), Endpoint::from("db:5432"));
    }

    #[tokio::test]
    async fn an_endpoint_without_a_port_is_invalid() {
        for text in ["", "db.example", "db.example:", "db.example:no", ":"] {
            let error = Endpoint::from(text).resolve().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{text}");
        }
    }
}
