//! What is wrong with the text of an address.

use std::error::Error;
use std::fmt;

/// The error of a text that is no [`Address`](crate::Address). It names the part that is wrong, and
/// does not repeat the text, which may have a password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseAddressError {
    /// The text does not begin with a scheme.
    MissingScheme,
    /// The scheme is none of those of an address, or its feature of this crate is off, or this
    /// system has no such sockets.
    UnknownScheme,
    /// There is a user or a password. A login belongs to the connector.
    UserInfo,
    /// The host is empty.
    MissingHost,
    /// The host is neither a name nor an IP address, or an IPv6 address without brackets.
    InvalidHost,
    /// There is no port. No scheme has a default.
    MissingPort,
    /// The port is not a number from 1 to 65535.
    InvalidPort,
    /// Something follows the port: a path, a query, a fragment.
    Trailing,
    /// The path of a Unix socket is empty, not absolute, ends with a slash, or has a zero byte in it.
    InvalidPath,
}

impl fmt::Display for ParseAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingScheme => "the address has no scheme, such as tcp://",
            Self::UnknownScheme if cfg!(feature = "rustls") => {
                "the scheme of the address is not tcp, tls or, on Unix, unix"
            }
            Self::UnknownScheme => {
                "the scheme of the address is not tcp or, on Unix, unix; tls needs the feature rustls"
            }
            Self::UserInfo => "the address has a user or a password, which has no effect here",
            Self::MissingHost => "the address has no host",
            Self::InvalidHost => {
                "the host of the address is neither a name, an IPv4 address, nor an IPv6 address in brackets"
            }
            Self::MissingPort => "the address has no port",
            Self::InvalidPort => "the port of the address is not a number from 1 to 65535",
            Self::Trailing => "something follows the port of the address",
            Self::InvalidPath => "the path of the address is not that of a socket: it has to be absolute",
        })
    }
}

impl Error for ParseAddressError {}
