//! What an error of TLS means for those who try again. Pure.

use std::io;

use tokio_rustls::rustls::CertificateError;
pub(crate) use tokio_rustls::rustls::{AlertDescription, Error};

/// The error of TLS inside of an error of a handshake or a connection.
pub(crate) fn find(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Whether the same handshake may succeed later: see `TlsConnector::is_transient`.
pub(crate) fn is_transient(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(error) => is_transient_certificate_error(error),
        Error::AlertReceived(alert) => !is_refusal(*alert),
        Error::NoCertificatesPresented
        | Error::UnsupportedNameType
        | Error::PeerIncompatible(_)
        | Error::InvalidEncryptedClientHello(_)
        | Error::NoApplicationProtocol
        | Error::InvalidCertRevocationList(_)
        | Error::EncryptError
        | Error::HandshakeNotComplete
        | Error::BadMaxFragmentSize
        | Error::InconsistentKeys(_)
        // What a verifier of the user's own says no with.
        | Error::General(_)
        | Error::Other(_) => false,
        // Bytes that are not TLS, or not those that were sent; no clock, no random numbers.
        _ => true,
    }
}

fn is_transient_certificate_error(error: &CertificateError) -> bool {
    use CertificateError::{
        Expired, ExpiredContext, ExpiredRevocationList, ExpiredRevocationListContext,
        InvalidOcspResponse, NotValidYet, NotValidYetContext, UnknownRevocationStatus,
    };
    matches!(
        error,
        Expired
            | ExpiredContext { .. }
            | NotValidYet
            | NotValidYetContext { .. }
            | UnknownRevocationStatus
            | ExpiredRevocationList
            | ExpiredRevocationListContext { .. }
            | InvalidOcspResponse
    )
}

/// Whether the peer understood, and said that it does not want us, or has nothing in common with
/// us. The meanings are those of RFC 8446, section 6.2.
const fn is_refusal(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::UnrecognisedName
            | AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::InappropriateFallback
            | AlertDescription::MissingExtension
            | AlertDescription::UnsupportedExtension
            | AlertDescription::NoApplicationProtocol
            | AlertDescription::EncryptedClientHelloRequired
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_rustls::rustls::{InvalidMessage, OtherError, PeerIncompatible};

    use super::*;

    #[test]
    fn a_certificate_that_is_wrong_is_final() {
        for error in [
            CertificateError::UnknownIssuer,
            CertificateError::NotValidForName,
            CertificateError::BadSignature,
            CertificateError::BadEncoding,
            CertificateError::Revoked,
            CertificateError::InvalidPurpose,
            CertificateError::ApplicationVerificationFailure,
            CertificateError::Other(OtherError(Arc::new(io::Error::other("not pinned")))),
        ] {
            assert!(!is_transient(&error.clone().into()), "{error:?}");
        }
    }

    #[test]
    fn a_certificate_that_time_or_a_revocation_list_will_mend_is_not() {
        for error in [
            CertificateError::Expired,
            CertificateError::NotValidYet,
            CertificateError::UnknownRevocationStatus,
            CertificateError::ExpiredRevocationList,
            CertificateError::InvalidOcspResponse,
        ] {
            assert!(is_transient(&error.clone().into()), "{error:?}");
        }
    }

    #[test]
    fn a_refusal_is_final_and_an_accident_of_the_peer_is_not() {
        for alert in [
            AlertDescription::CertificateRequired,
            AlertDescription::BadCertificate,
            AlertDescription::UnknownCA,
            AlertDescription::AccessDenied,
            AlertDescription::HandshakeFailure,
            AlertDescription::ProtocolVersion,
            AlertDescription::UnrecognisedName,
        ] {
            assert!(!is_transient(&Error::AlertReceived(alert)), "{alert:?}");
        }
        for alert in [
            AlertDescription::InternalError,
            AlertDescription::CertificateExpired,
            AlertDescription::BadRecordMac,
            AlertDescription::DecodeError,
            AlertDescription::UserCanceled,
            AlertDescription::Unknown(200),
        ] {
            assert!(is_transient(&Error::AlertReceived(alert)), "{alert:?}");
        }
    }

    #[test]
    fn what_is_not_tls_is_not_final_and_nothing_in_common_is() {
        assert!(is_transient(&InvalidMessage::InvalidContentType.into()));
        assert!(is_transient(&Error::DecryptError));
        assert!(is_transient(&Error::FailedToGetCurrentTime));
        assert!(!is_transient(
            &PeerIncompatible::NoCipherSuitesInCommon.into()
        ));
        assert!(!is_transient(&Error::General("not pinned".into())));
    }
}
