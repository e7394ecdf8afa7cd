//! The text of an address.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::error::ParseAddressError as Error;
use super::{Address, HostPort, Kind};

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (scheme, rest) = text.split_once(':').ok_or(Error::MissingScheme)?;
        let is = |name| scheme.eq_ignore_ascii_case(name);
        if is("tcp") {
            Ok(Self(Kind::Tcp(host_port(rest)?)))
        } else if cfg!(feature = "rustls") && is("tls") {
            tls(host_port(rest)?)
        } else if cfg!(unix) && is("unix") {
            unix(rest)
        } else if is_scheme(scheme) && (rest.starts_with("//") || is("unix") || is("tls")) {
            Err(Error::UnknownScheme)
        } else {
            // Such as a host with a port.
            Err(Error::MissingScheme)
        }
    }
}

fn is_scheme(scheme: &str) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    !scheme.is_empty() && scheme.as_bytes().iter().all(is_letter)
}

/// Parses what follows the scheme: `//host:port`.
fn host_port(rest: &str) -> Result<HostPort, Error> {
    let authority = rest.strip_prefix("//").ok_or(Error::MissingHost)?;
    let end = authority.find(['/', '?', '#']);
    let (authority, trailing) = authority.split_at(end.unwrap_or(authority.len()));
    if authority.contains('@') {
        return Err(Error::UserInfo);
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(Error::InvalidHost)?;
            let host: Ipv6Addr = host.parse().map_err(|_| Error::InvalidHost)?;
            (host.to_string(), port)
        }
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            if port.matches(':').count() > 1 {
                return Err(Error::InvalidHost);
            }
            (name(host)?.to_owned(), port)
        }
    };
    let port = port_number(port)?;
    if trailing.is_empty() {
        Ok(HostPort { host, port })
    } else {
        Err(Error::Trailing)
    }
}

/// Returns a host name or an IPv4 address.
fn name(host: &str) -> Result<&str, Error> {
    if host.is_empty() {
        return Err(Error::MissingHost);
    }
    let is_label = |label: &str| {
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        label.bytes().all(is_known) && label.bytes().any(|byte| byte.is_ascii_alphanumeric())
    };
    // A name may end with a dot.
    let labels = host.strip_suffix('.').unwrap_or(host);
    let last = labels.rsplit('.').next().unwrap_or_default();
    let is_valid = if is_number(last) {
        host.parse::<Ipv4Addr>().is_ok()
    } else {
        labels.split('.').all(is_label)
    };
    is_valid.then_some(host).ok_or(Error::InvalidHost)
}

/// Returns whether a system may take a name that ends with this label for an IPv4 address
/// (`inet_aton(3)`, the URL Standard's "ends in a number").
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or(label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn port_number(port: &str) -> Result<u16, Error> {
    let digits = match port.strip_prefix(':') {
        None if port.is_empty() => return Err(Error::MissingPort),
        // Such as `[::1]x`.
        None => return Err(Error::InvalidHost),
        Some("") => return Err(Error::MissingPort),
        Some(digits) => digits,
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::InvalidPort);
    }
    match digits.parse() {
        Ok(0) | Err(_) => Err(Error::InvalidPort),
        Ok(port) => Ok(port),
    }
}

#[cfg(feature = "rustls")]
fn tls(host_port: HostPort) -> Result<Address, Error> {
    match host_port.server_name() {
        Some(_) => Ok(Address(Kind::Tls(host_port))),
        None => Err(Error::InvalidHost),
    }
}

#[cfg(not(feature = "rustls"))]
fn tls(_: HostPort) -> Result<Address, Error> {
    Err(Error::UnknownScheme)
}

/// Parses what follows the scheme: `/path` or `///path`, as a URL with an empty host.
#[cfg(unix)]
fn unix(rest: &str) -> Result<Address, Error> {
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some("") => return Err(Error::InvalidPath),
        // A host: the socket is always on this machine.
        Some(_) => return Err(Error::InvalidHost),
        None => rest,
    };
    let is_file = path.starts_with('/') && !path.ends_with('/') && !path.contains('\0');
    if is_file {
        Ok(Address(Kind::Unix(path.into())))
    } else {
        Err(Error::InvalidPath)
    }
}

#[cfg(not(unix))]
fn unix(_: &str) -> Result<Address, Error> {
    Err(Error::UnknownScheme)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Tcp(host_port) => write!(f, "tcp://{host_port}"),
            #[cfg(feature = "rustls")]
            Kind::Tls(host_port) => write!(f, "tls://{host_port}"),
            #[cfg(unix)]
            // Two slashes would begin a host.
            Kind::Unix(path) if path.starts_with("//") => write!(f, "unix://{path}"),
            #[cfg(unix)]
            Kind::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_displayed_in_its_shortest_form() {
        for (text, displayed) in [
            ("tcp://db.example:5432", "tcp://db.example:5432"),
            ("TCP://127.0.0.1:1", "tcp://127.0.0.1:1"),
            ("tcp://[::1]:65535", "tcp://[::1]:65535"),
            ("tcp://[0:0:0:0:0:0:0:1]:080", "tcp://[::1]:80"),
            ("tcp://my_host-2:7", "tcp://my_host-2:7"),
            #[cfg(unix)]
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            #[cfg(unix)]
            (
                "unix:///run/with space: and @",
                "unix:/run/with space: and @",
            ),
            #[cfg(unix)]
            ("unix:////run/a.sock", "unix:////run/a.sock"),
            #[cfg(unix)]
            ("unix://///run/a.sock", "unix://///run/a.sock"),
            ("tcp://db.example.:1", "tcp://db.example.:1"),
            ("tcp://0xg.example:1", "tcp://0xg.example:1"),
            #[cfg(feature = "rustls")]
            ("tls://db.example:5432", "tls://db.example:5432"),
            #[cfg(feature = "rustls")]
            ("tls://[2001:db8::1]:443", "tls://[2001:db8::1]:443"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), displayed);
            assert_eq!(displayed.parse(), Ok(address));
        }
    }

    #[test]
    fn an_error_names_the_part_that_is_wrong() {
        for (text, error) in [
            ("", Error::MissingScheme),
            ("db.example", Error::MissingScheme),
            ("db.example:5432", Error::MissingScheme),
            ("[::1]:5432", Error::MissingScheme),
            ("//db.example:5432", Error::MissingScheme),
            ("://db.example:5432", Error::MissingScheme),
            ("a b://db.example:80", Error::MissingScheme),
            ("http://db.example:80", Error::UnknownScheme),
            ("redis+tls://db.example:80", Error::UnknownScheme),
            ("tcp:db.example:80", Error::MissingHost),
            ("tcp:", Error::MissingHost),
            ("tcp://", Error::MissingHost),
            ("tcp://:80", Error::MissingHost),
            ("tcp:///path", Error::MissingHost),
            ("tcp://user@db.example:80", Error::UserInfo),
            ("tcp://user:secret@db.example:80", Error::UserInfo),
            ("tcp://::1:80", Error::InvalidHost),
            ("tcp://2001:db8::1:80", Error::InvalidHost),
            ("tcp://db.example:80:81", Error::InvalidHost),
            ("tcp://[::1:80", Error::InvalidHost),
            ("tcp://[]:80", Error::InvalidHost),
            ("tcp://[db.example]:80", Error::InvalidHost),
            ("tcp://[127.0.0.1]:80", Error::InvalidHost),
            ("tcp://[::1]80", Error::InvalidHost),
            ("tcp://[fe80::1%eth0]:80", Error::InvalidHost),
            ("tcp://db example:80", Error::InvalidHost),
            ("tcp://db%20example:80", Error::InvalidHost),
            ("tcp://dä.example:80", Error::InvalidHost),
            ("tcp://300.0.0.1:80", Error::InvalidHost),
            ("tcp://127.1:80", Error::InvalidHost),
            ("tcp://0x7f.1:80", Error::InvalidHost),
            ("tcp://0x7f000001:80", Error::InvalidHost),
            ("tcp://127.0.0.0x1:80", Error::InvalidHost),
            ("tcp://db.0X1:80", Error::InvalidHost),
            ("tcp://db..example:80", Error::InvalidHost),
            ("tcp://.example:80", Error::InvalidHost),
            ("tcp://.:80", Error::InvalidHost),
            ("tcp://-:80", Error::InvalidHost),
            ("tcp://127.0.0.1.:80", Error::InvalidHost),
            ("tcp://db.example", Error::MissingPort),
            ("tcp://db.example:", Error::MissingPort),
            ("tcp://db.example/path", Error::MissingPort),
            ("tcp://[::1]", Error::MissingPort),
            ("tcp://[::1]:", Error::MissingPort),
            ("tcp://db.example:0", Error::InvalidPort),
            ("tcp://db.example:000", Error::InvalidPort),
            ("tcp://db.example:65536", Error::InvalidPort),
            ("tcp://db.example:99999999999999999999", Error::InvalidPort),
            ("tcp://db.example:-1", Error::InvalidPort),
            ("tcp://db.example:+80", Error::InvalidPort),
            ("tcp://db.example:http", Error::InvalidPort),
            ("tcp://db.example: 80", Error::InvalidPort),
            ("tcp://db.example:80/", Error::Trailing),
            ("tcp://db.example:80/0", Error::Trailing),
            ("tcp://db.example:80?tls", Error::Trailing),
            ("tcp://db.example:80#a@b", Error::Trailing),
            #[cfg(unix)]
            ("unix:", Error::InvalidPath),
            #[cfg(unix)]
            ("unix://", Error::InvalidPath),
            #[cfg(unix)]
            ("unix:run/a.sock", Error::InvalidPath),
            #[cfg(unix)]
            ("unix:/", Error::InvalidPath),
            #[cfg(unix)]
            ("unix:/run/", Error::InvalidPath),
            #[cfg(unix)]
            ("unix:/run/a\0b", Error::InvalidPath),
            #[cfg(unix)]
            ("unix://host/run/a.sock", Error::InvalidHost),
            #[cfg(not(unix))]
            ("unix:/run/a.sock", Error::UnknownScheme),
            #[cfg(not(feature = "rustls"))]
            ("tls://db.example:80", Error::UnknownScheme),
            #[cfg(not(feature = "rustls"))]
            ("tls:db.example:80", Error::UnknownScheme),
            #[cfg(feature = "rustls")]
            ("tls://db..example:80", Error::InvalidHost),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text:?}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    proptest! {
        #[test]
        fn an_address_is_read_again_as_it_is_displayed(
            text in "(tcp|TLS|tls|unix|uNix)(:|:/{1,4})(\\[[0-9a-f:.]{1,20}\\]|[a-zA-Z0-9._:@%/é -]{0,20})(:[0-9]{1,5})?",
        ) {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse(), Ok(address));
            }
        }

        #[test]
        fn reading_an_address_never_panics(text: String, scheme in "(tcp://|tls://|unix:|)") {
            let _ = format!("{scheme}{text}").parse::<Address>();
        }
    }
}
