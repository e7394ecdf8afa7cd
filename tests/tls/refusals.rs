//! Which errors of a handshake are permanent, and which are transient.

use super::*;

async fn final_error(server: Server, connector: TlsConnector<ToAddress>) -> rustls::Error {
    let (mut stream, _) = patient(connector);
    let (_refused, error) =
        soon(async { tokio::join!(server.try_accept(), stream.connected()) }).await;
    assert_eq!(stream.state(), State::GaveUp);
    refusal(&error.unwrap_err(), 1)
}

#[tokio::test]
async fn a_handshake_with_a_certificate_of_an_unknown_issuer_is_final() {
    let server = Server::new(Authority::new().server(NOW)).await;
    let connector = server.connector(Authority::new().client());
    let error = final_error(server, connector).await;
    assert_eq!(error, CertificateError::UnknownIssuer.into());
}

#[tokio::test]
async fn a_handshake_with_a_certificate_for_another_name_is_final() {
    let authority = Authority::new();
    let server = Server::new(authority.server(NOW)).await;
    let address = ToAddress(server.listener.local_addr().unwrap());
    let other = "other.test".try_into().unwrap();
    let connector = TlsConnector::new(address, other, authority.client());
    let error = final_error(server, connector).await;
    assert!(matches!(
        error,
        rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })
    ));
}

#[tokio::test]
async fn a_handshake_with_a_wrong_certificate_is_final_after_the_first_connection_too() {
    let authority = Authority::new();
    let mut server = Server::new(authority.server(NOW)).await;
    let (mut stream, _) = patient(server.connector(authority.client()));
    let (io, connected) = tokio::join!(server.accept(), stream.connected());
    connected.unwrap();
    server.acceptor = Arc::new(Authority::new().server(NOW)).into();
    reset(io);
    let (_, error) = soon(async { tokio::join!(server.try_accept(), stream.read_u8()) }).await;
    // The one after the first, whose connection was not stable.
    let error = refusal(&error.unwrap_err(), 2);
    assert_eq!(error, CertificateError::UnknownIssuer.into());
}

#[tokio::test]
async fn a_handshake_with_a_certificate_out_of_its_time_is_retried_until_it_is_renewed() {
    for years in [PAST, FUTURE] {
        let authority = Authority::new();
        let mut server = Server::new(authority.server(years)).await;
        let (mut stream, errors) = patient(server.connector(authority.client()));
        let serving = async {
            for _ in 0..3 {
                assert!(server.try_accept().await.is_err());
            }
            server.acceptor = Arc::new(authority.server(NOW)).into();
            server.accept().await
        };
        let (_io, connected) = soon(async { tokio::join!(serving, stream.connected()) }).await;
        assert_eq!(connected.unwrap(), 1);
        let errors = errors.lock().unwrap();
        assert_eq!(errors.len(), 3);
        for error in errors.iter() {
            assert!(matches!(
                tls_error(error),
                Some(rustls::Error::InvalidCertificate(_))
            ));
        }
    }
}

#[tokio::test]
async fn a_handshake_is_retried_if_retry_if_says_so() {
    let authority = Authority::new();
    let mut server = Server::new(Authority::new().server(NOW)).await;
    let connector = server
        .connector(authority.client())
        .retry_if(|error| *error == CertificateError::UnknownIssuer.into());
    let (mut stream, errors) = patient(connector.clone());
    let serving = async {
        assert!(server.try_accept().await.is_err());
        server.acceptor = Arc::new(authority.server(NOW)).into();
        server.accept().await
    };
    let (_io, connected) = soon(async { tokio::join!(serving, stream.connected()) }).await;
    assert_eq!(connected.unwrap(), 1);
    assert_eq!(errors.lock().unwrap().len(), 1);

    server.acceptor = Arc::new(authority.server(PAST)).into();
    assert!(matches!(
        final_error(server, connector).await,
        rustls::Error::InvalidCertificate(_)
    ));
}

#[tokio::test]
async fn a_handshake_that_the_verifier_of_the_user_refuses_is_final() {
    let server = Server::new(Authority::new().server(NOW)).await;
    let mut config = Authority::new().client();
    config.dangerous().set_certificate_verifier(Arc::new(Pins));
    let connector = server.connector(config);
    let error = final_error(server, connector).await;
    assert_eq!(error, rustls::Error::General("not pinned".into()));
}

/// Refuses every certificate.
#[derive(Debug)]
struct Pins;

impl rustls::client::danger::ServerCertVerifier for Pins {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Err(rustls::Error::General("not pinned".into()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        unreachable!("the certificate comes first")
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        unreachable!("the certificate comes first")
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        vec![rustls::SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// In TLS 1.3 the server sees our certificate after we have finished.
#[tokio::test]
async fn a_handshake_whose_client_is_refused_is_final_in_both_versions() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let authority = Authority::new();
        let server = Server::new(authority.strict_server()).await;
        let (mut stream, _) = patient(server.connector(authority.client_of(version)));
        let refusing = async {
            let refused = server.try_accept().await;
            assert_eq!(
                tls_error(&refused.unwrap_err()),
                Some(&rustls::Error::NoCertificatesPresented)
            );
        };
        let ((), error) = soon(async { tokio::join!(refusing, stream.read_u8()) }).await;
        let error = error.unwrap_err();
        let last = &gave_up(&error).expect("it gave up").last_error;
        let alert = tls_error(last).cloned().unwrap_or_else(|| permanent(last));
        assert!(
            matches!(alert, rustls::Error::AlertReceived(_)),
            "{version:?}: {alert:?}"
        );
    }
}

#[tokio::test]
async fn a_handshake_that_is_answered_by_something_else_than_tls_is_retried() {
    let internal_error = [0x15, 3, 3, 0, 2, 2, 80];
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        &internal_error,
        b"\0",
        b"",
    ] {
        let authority = Authority::new();
        let server = Server::new(authority.server(NOW)).await;
        let (mut stream, errors) = patient(server.connector(authority.client()));
        let serving = async {
            for _ in 0..2 {
                let mut io = server.accept_raw().await;
                io.write_all(answer).await.unwrap();
                io.shutdown().await.unwrap();
                let _ = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
            }
            server.accept().await
        };
        let (_io, connected) = soon(async { tokio::join!(serving, stream.connected()) }).await;
        assert_eq!(connected.unwrap(), 1);
        assert_eq!(errors.lock().unwrap().len(), 2, "{answer:?}");
    }
}

#[tokio::test]
async fn a_handshake_that_the_peer_refuses_is_final() {
    let server = Server::new(Authority::new().server(NOW)).await;
    let (mut stream, _) = patient(server.connector(Authority::new().client()));
    let refusing = async {
        let mut io = server.accept_raw().await;
        let handshake_failure = [0x15, 3, 3, 0, 2, 2, 40];
        io.write_all(&handshake_failure).await.unwrap();
        let _ = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
    };
    let ((), error) = soon(async { tokio::join!(refusing, stream.connected()) }).await;
    assert_eq!(
        refusal(&error.unwrap_err(), 1),
        rustls::Error::AlertReceived(AlertDescription::HandshakeFailure)
    );
}
