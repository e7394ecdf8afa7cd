//! Which errors mean that a connection is dead.

use std::io::{self, ErrorKind};

#[cfg(feature = "rustls")]
use crate::tls_error;

/// What an error means for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The connection is dead, or the attempt has failed: try again.
    Lost,
    /// The caller gets the error as it is. A connection stays; after an attempt the outage goes
    /// on at the next poll.
    Surface,
    /// Trying again can't help: give up.
    Permanent,
}

/// Where an error was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// By an attempt of the connector.
    Connect {
        /// No connection has been made yet.
        initial: bool,
    },
    /// By a read.
    Read,
    /// By a write.
    Write,
    /// By a flush or a shutdown.
    Flush,
}

impl Verdict {
    /// The classification that a [`Policy`](crate::Policy) uses unless it is told otherwise.
    ///
    /// A connection is lost by `ConnectionReset`, `ConnectionAborted`, `ConnectionRefused`,
    /// `BrokenPipe`, `NotConnected`, `TimedOut` (keepalive, `TCP_USER_TIMEOUT`),
    /// `HostUnreachable`, `NetworkUnreachable`, `NetworkDown`, `UnexpectedEof` (a truncated TLS
    /// stream) and `WriteZero`, and by the system's `ENETRESET`, `EHOSTDOWN` and `ESHUTDOWN`,
    /// which have no kind of their own. Everything else is the caller's.
    ///
    /// With the feature `rustls` a connection is also lost by any error with a `rustls::Error`
    /// inside: TLS can't go on after it. If that is the peer's refusal of us (of our certificate,
    /// as TLS 1.3 tells it), trying again can't help.
    ///
    /// An attempt is repeated whatever it fails with, except `InvalidInput`, `InvalidData` and
    /// `Unsupported`, and `PermissionDenied` before the first connection.
    #[must_use]
    pub fn of(error: &io::Error, phase: Phase) -> Self {
        match phase {
            Phase::Connect { initial } => Self::of_attempt(error, initial),
            Phase::Read | Phase::Write | Phase::Flush => Self::of_connection(error),
        }
    }

    fn of_attempt(error: &io::Error, initial: bool) -> Self {
        match error.kind() {
            ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::Unsupported => {
                Self::Permanent
            }
            ErrorKind::PermissionDenied if initial => Self::Permanent,
            _ => Self::Lost,
        }
    }

    fn of_connection(error: &io::Error) -> Self {
        #[cfg(feature = "rustls")]
        if let Some(error) = tls_error::find(error) {
            return Self::of_tls(error);
        }
        let by_kind = matches!(
            error.kind(),
            ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::ConnectionRefused
                | ErrorKind::BrokenPipe
                | ErrorKind::NotConnected
                | ErrorKind::TimedOut
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::NetworkDown
                | ErrorKind::UnexpectedEof
                | ErrorKind::WriteZero
        );
        let by_number = error
            .raw_os_error()
            .is_some_and(|errno| LOST_ERRNOS.contains(&errno));
        if by_kind || by_number {
            Self::Lost
        } else {
            Self::Surface
        }
    }
}

#[cfg(feature = "rustls")]
impl Verdict {
    fn of_tls(error: &tls_error::Error) -> Self {
        if tls_error::is_transient(error) {
            Self::Lost
        } else {
            Self::Permanent
        }
    }
}

/// What the standard library has no kind for.
#[cfg(unix)]
const LOST_ERRNOS: [i32; 3] = [libc::ENETRESET, libc::EHOSTDOWN, libc::ESHUTDOWN];

/// `WSAENETRESET`, `WSAEHOSTDOWN` and `WSAESHUTDOWN`, from the "Windows Sockets Error Codes".
#[cfg(windows)]
const LOST_ERRNOS: [i32; 3] = [10052, 10064, 10058];

#[cfg(not(any(unix, windows)))]
const LOST_ERRNOS: [i32; 0] = [];

#[cfg(test)]
mod tests {
    use super::*;

    const ATTEMPT: Phase = Phase::Connect { initial: false };
    const FIRST_ATTEMPT: Phase = Phase::Connect { initial: true };
    const ON_A_CONNECTION: [Phase; 3] = [Phase::Read, Phase::Write, Phase::Flush];

    #[test]
    fn lost_kinds_are_a_loss_in_every_phase_of_a_connection() {
        for kind in [
            ErrorKind::ConnectionReset,
            ErrorKind::ConnectionAborted,
            ErrorKind::ConnectionRefused,
            ErrorKind::BrokenPipe,
            ErrorKind::NotConnected,
            ErrorKind::TimedOut,
            ErrorKind::HostUnreachable,
            ErrorKind::NetworkUnreachable,
            ErrorKind::NetworkDown,
            ErrorKind::UnexpectedEof,
            ErrorKind::WriteZero,
        ] {
            for phase in ON_A_CONNECTION {
                assert_eq!(Verdict::of(&kind.into(), phase), Verdict::Lost, "{kind}");
            }
        }
    }

    #[cfg(feature = "rustls")]
    #[test]
    fn a_broken_connection_of_tls_is_a_loss_and_a_refusal_is_final() {
        use tls_error::{AlertDescription, Error};
        let refusal = Error::AlertReceived(AlertDescription::CertificateRequired);
        for (error, verdict) in [
            (Error::DecryptError, Verdict::Lost),
            (refusal, Verdict::Permanent),
        ] {
            let error = io::Error::new(ErrorKind::InvalidData, error);
            for phase in ON_A_CONNECTION {
                assert_eq!(Verdict::of(&error, phase), verdict, "{error}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn lost_errnos_are_a_loss() {
        for errno in [libc::ENETRESET, libc::EHOSTDOWN, libc::ESHUTDOWN] {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(Verdict::of(&error, Phase::Write), Verdict::Lost, "{error}");
        }
    }

    #[test]
    fn everything_else_is_the_callers() {
        for kind in [
            ErrorKind::Interrupted,
            ErrorKind::WouldBlock,
            ErrorKind::InvalidData,
            ErrorKind::InvalidInput,
            ErrorKind::PermissionDenied,
            ErrorKind::Unsupported,
            ErrorKind::OutOfMemory,
            ErrorKind::Other,
        ] {
            for phase in ON_A_CONNECTION {
                assert_eq!(Verdict::of(&kind.into(), phase), Verdict::Surface, "{kind}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_lack_of_resources_is_not_a_loss() {
        for errno in [libc::EMFILE, libc::ENOBUFS, libc::EBADF] {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(
                Verdict::of(&error, Phase::Read),
                Verdict::Surface,
                "{error}"
            );
            assert_eq!(Verdict::of(&error, ATTEMPT), Verdict::Lost, "{error}");
        }
    }

    #[test]
    fn attempts_are_repeated_except_where_it_cannot_help() {
        for kind in [
            ErrorKind::ConnectionRefused,
            ErrorKind::TimedOut,
            ErrorKind::NotFound,
            ErrorKind::Other,
            ErrorKind::AddrNotAvailable,
        ] {
            assert_eq!(Verdict::of(&kind.into(), FIRST_ATTEMPT), Verdict::Lost);
        }
        for kind in [
            ErrorKind::InvalidInput,
            ErrorKind::InvalidData,
            ErrorKind::Unsupported,
        ] {
            assert_eq!(Verdict::of(&kind.into(), ATTEMPT), Verdict::Permanent);
        }
    }

    #[test]
    fn a_denied_permission_is_final_only_before_the_first_connection() {
        let denied = io::Error::from(ErrorKind::PermissionDenied);
        assert_eq!(Verdict::of(&denied, FIRST_ATTEMPT), Verdict::Permanent);
        assert_eq!(Verdict::of(&denied, ATTEMPT), Verdict::Lost);
    }
}
