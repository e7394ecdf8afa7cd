//! Which TLS errors are transient. Pure.

use tokio_rustls::rustls::CertificateError;
pub(crate) use tokio_rustls::rustls::{AlertDescription, Error};

/// Returns true if the same handshake may succeed later. See `TlsConnector::is_transient`.
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
        // The refusals of a verifier of the user.
        | Error::General(_)
        | Error::Other(_) => false,
        // Bytes that are not TLS, or were changed in transit; no clock, no random numbers.
        _ => true,
    }
}

/// Returns true if a renewal, a clock or a revocation list may make the certificate valid.
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

/// Returns true if the peer refused the client, or has no version, cipher or protocol in common with
/// it. RFC 8446, section 6.2, defines the meanings.
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
    use std::io;
    use std::sync::Arc;

    use tokio_rustls::rustls::{InvalidMessage, OtherError, PeerIncompatible};

    use super::*;

    #[test]
    fn a_wrong_certificate_is_permanent() {
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
    fn a_certificate_that_may_become_valid_is_transient() {
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
    fn a_refusal_is_permanent_and_another_alert_is_transient() {
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
    fn bytes_that_are_not_tls_are_transient_and_nothing_in_common_is_permanent() {
        assert!(is_transient(&InvalidMessage::InvalidContentType.into()));
        assert!(is_transient(&Error::DecryptError));
        assert!(is_transient(&Error::FailedToGetCurrentTime));
        assert!(!is_transient(
            &PeerIncompatible::NoCipherSuitesInCommon.into()
        ));
        assert!(!is_transient(&Error::General("not pinned".into())));
    }
}
