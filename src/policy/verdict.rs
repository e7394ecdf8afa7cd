//! The classification of errors.

use std::io::{self, ErrorKind};

use super::policy::Policy;
use crate::error::Permanent;
#[cfg(feature = "rustls")]
use crate::tls_error;

/// The effect of an error on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The connection is dead, or the attempt has failed. The stream reconnects.
    Lost,
    /// The caller gets the error as it is. A connection stays open. After an attempt the outage
    /// continues at the next poll.
    Surface,
    /// Another attempt can't succeed. The stream gives up.
    Permanent,
}

/// The operation that failed with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// An attempt of the connector.
    Connect {
        /// True until the first connection of the stream is made.
        initial: bool,
    },
    /// A read.
    Read,
    /// A write.
    Write,
    /// A flush or a shutdown.
    Flush,
}

impl Policy {
    /// Classifies the error of an attempt. `initial` is true until the first connection is made.
    pub(crate) fn verdict_of_attempt(&self, error: &io::Error, initial: bool) -> Verdict {
        if Permanent::is_marked(error) {
            return Verdict::Permanent;
        }
        (self.classify)(error, Phase::Connect { initial })
    }
}

impl Verdict {
    /// Classifies an error. A [`Policy`] uses this unless
    /// [`classify`](Policy::classify) replaces it.
    ///
    /// A connection is lost if an operation fails with `ConnectionReset`, `ConnectionAborted`, `ConnectionRefused`,
    /// `BrokenPipe`, `NotConnected`, `TimedOut` (keepalive, `TCP_USER_TIMEOUT`),
    /// `HostUnreachable`, `NetworkUnreachable`, `NetworkDown`, `UnexpectedEof` (a truncated TLS
    /// stream) or `WriteZero`, or with the system's `ENETRESET`, `EHOSTDOWN` or `ESHUTDOWN`, which
    /// have no kind of their own. Every other error is [`Surface`](Self::Surface).
    ///
    /// With the feature `rustls` a connection is also lost by any error with a `rustls::Error`
    /// inside, because TLS can't continue after it. If another handshake would meet the same
    /// error, it is [`Permanent`](Self::Permanent): a certificate that is not trusted, a TLS 1.3
    /// server's refusal of the client's one, and every other error for which
    /// `TlsConnector::is_transient` returns false.
    ///
    /// An attempt is repeated after every error except `InvalidInput`, `InvalidData` and
    /// `Unsupported`, and `PermissionDenied` before the first connection.
    #[must_use]
    pub fn of(error: &io::Error, phase: Phase) -> Self {
        if let Phase::Connect { initial } = phase {
            return Self::of_attempt(error, initial);
        }
        #[cfg(feature = "rustls")]
        if let Some(error) = error.get_ref().and_then(|error| error.downcast_ref()) {
            return Self::of_tls(error);
        }
        let errno = error.raw_os_error();
        let is_lost = LOST_KINDS.contains(&error.kind())
            || errno.is_some_and(|errno| LOST_ERRNOS.contains(&errno));
        if is_lost { Self::Lost } else { Self::Surface }
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

/// The errors of a lost connection.
const LOST_KINDS: [ErrorKind; 11] = [
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
];

/// The errors of a lost connection that have no [`ErrorKind`].
#[cfg(unix)]
const LOST_ERRNOS: [i32; 3] = [libc::ENETRESET, libc::EHOSTDOWN, libc::ESHUTDOWN];

/// The same on Windows: `WSAENETRESET`, `WSAEHOSTDOWN` and `WSAESHUTDOWN`, from the "Windows Sockets Error Codes".
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
    fn every_other_error_of_a_connection_is_surfaced() {
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
    fn attempts_are_repeated_except_after_a_permanent_error() {
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
