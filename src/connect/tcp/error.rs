//! The error of an attempt that reached no endpoint.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use super::endpoint::Endpoint;

/// The error of an attempt in which no address of any endpoint accepted a connection.
///
/// It is inside the [`io::Error`] of an attempt of a [`TcpConnector`](crate::TcpConnector). That
/// error has the kind of the last failure that another attempt may not meet, or of the last failure if
/// every attempt would meet all of them: `InvalidInput`, `PermissionDenied`, `Unsupported`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unreachable {
    /// The failures, in the order in which they occurred.
    pub failures: Vec<EndpointFailure>,
}

/// The failure of one endpoint, or of one of its addresses.
#[derive(Debug)]
#[non_exhaustive]
pub struct EndpointFailure {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The address that was tried; `None` if the name could not be looked up.
    pub address: Option<SocketAddr>,
    /// The cause.
    pub error: io::Error,
}

impl Unreachable {
    /// Returns the failure whose kind the whole error has.
    fn representative(&self) -> Option<&EndpointFailure> {
        let last_transient = self.failures.iter().rfind(|failure| {
            // An endpoint that is wrong must not end a stream that may reach another one.
            let kind = failure.error.kind();
            !matches!(
                kind,
                ErrorKind::InvalidInput | ErrorKind::PermissionDenied | ErrorKind::Unsupported
            )
        });
        last_transient.or(self.failures.last())
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut failures = self.failures.iter();
        match failures.next() {
            None => f.write_str("there is no endpoint to connect to"),
            Some(first) => {
                write!(f, "{first}")?;
                failures.try_for_each(|failure| write!(f, "; {failure}"))
            }
        }
    }
}

impl fmt::Display for EndpointFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.endpoint.to_string();
        write!(f, "{name}")?;
        match self.address.map(|address| address.to_string()) {
            Some(address) if address != name => write!(f, " ({address})")?,
            Some(_) | None => {}
        }
        write!(f, ": {}", self.error)
    }
}

impl Error for Unreachable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.representative()?.error)
    }
}

impl From<Unreachable> for io::Error {
    fn from(unreachable: Unreachable) -> Self {
        let failure = unreachable.representative();
        let kind = failure.map_or(ErrorKind::InvalidInput, |failure| failure.error.kind());
        Self::new(kind, unreachable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(endpoint: &str, address: Option<&str>, kind: ErrorKind) -> EndpointFailure {
        EndpointFailure {
            endpoint: endpoint.into(),
            address: address.map(|address| address.parse().unwrap()),
            error: kind.into(),
        }
    }

    #[test]
    fn the_message_of_unreachable_lists_all_failures() {
        let failures = vec![
            failure("a:1", Some("127.0.0.1:1"), ErrorKind::ConnectionRefused),
            failure("127.0.0.1:2", Some("127.0.0.1:2"), ErrorKind::TimedOut),
            failure("c", None, ErrorKind::InvalidInput),
        ];
        let error = io::Error::from(Unreachable { failures });
        assert_eq!(
            error.to_string(),
            "a:1 (127.0.0.1:1): connection refused; 127.0.0.1:2: timed out; c: invalid input parameter"
        );
        assert_eq!(
            error.kind(),
            ErrorKind::TimedOut,
            "the last that is not permanent"
        );
    }

    #[test]
    fn the_kind_of_unreachable_is_permanent_only_if_all_failures_are() {
        let failures = vec![failure("c", None, ErrorKind::InvalidInput)];
        let error = io::Error::from(Unreachable { failures });
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        for permanent in [ErrorKind::PermissionDenied, ErrorKind::Unsupported] {
            let failures = vec![
                failure("a:1", None, ErrorKind::ConnectionRefused),
                failure("b:1", None, permanent),
            ];
            let error = io::Error::from(Unreachable { failures });
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
        let error = io::Error::from(Unreachable { failures: vec![] });
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), "there is no endpoint to connect to");
    }
}
