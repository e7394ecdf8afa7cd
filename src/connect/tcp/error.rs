//! The error of an attempt that reached nobody.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::endpoint::Endpoint;

/// No address of any endpoint took the connection.
///
/// It is inside the [`io::Error`] of an attempt of a
/// [`TcpConnector`](crate::TcpConnector), which has the kind of the last failure that trying
/// again may cure, or of the last one if there is none.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unreachable {
    /// What was tried, in the order in which it failed.
    pub failures: Vec<EndpointFailure>,
}

/// One endpoint, or one address of it, and why it was not reached.
#[derive(Debug)]
#[non_exhaustive]
pub struct EndpointFailure {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The address that was tried; none if the name could not be looked up.
    pub address: Option<SocketAddr>,
    /// Why.
    pub error: io::Error,
}

impl Unreachable {
    /// The failure that says what to do about all of them.
    fn decisive(&self) -> Option<&EndpointFailure> {
        let is_curable =
            |failure: &&EndpointFailure| failure.error.kind() != io::ErrorKind::InvalidInput;
        let last_curable = self.failures.iter().rfind(is_curable);
        last_curable.or(self.failures.last())
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
        Some(&self.decisive()?.error)
    }
}

impl From<Unreachable> for io::Error {
    fn from(unreachable: Unreachable) -> Self {
        let decisive = unreachable.decisive();
        let kind = decisive.map_or(io::ErrorKind::InvalidInput, |failure| failure.error.kind());
        Self::new(kind, unreachable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(endpoint: &str, address: Option<&str>, kind: io::ErrorKind) -> EndpointFailure {
        EndpointFailure {
            endpoint: endpoint.into(),
            address: address.map(|address| address.parse().unwrap()),
            error: kind.into(),
        }
    }

    #[test]
    fn all_failures_are_told() {
        let failures = vec![
            failure("a:1", Some("127.0.0.1:1"), io::ErrorKind::ConnectionRefused),
            failure("127.0.0.1:2", Some("127.0.0.1:2"), io::ErrorKind::TimedOut),
            failure("c", None, io::ErrorKind::InvalidInput),
        ];
        let error = io::Error::from(Unreachable { failures });
        assert_eq!(
            error.to_string(),
            "a:1 (127.0.0.1:1): connection refused; 127.0.0.1:2: timed out; c: invalid input parameter"
        );
        assert_eq!(
            error.kind(),
            io::ErrorKind::TimedOut,
            "the last that can be cured"
        );
    }

    #[test]
    fn what_cannot_be_cured_is_told_only_if_nothing_can() {
        let failures = vec![failure("c", None, io::ErrorKind::InvalidInput)];
        let error = io::Error::from(Unreachable { failures });
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = io::Error::from(Unreachable { failures: vec![] });
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), "there is no endpoint to connect to");
    }
}
