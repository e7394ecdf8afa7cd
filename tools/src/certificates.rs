//! Certificates that are made for one run, and the TLS configurations that use them.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The name in the certificates of servers.
pub const NAME: &str = "server.test";

/// Returns [`NAME`] as a client gives it to TLS.
pub fn name() -> ServerName<'static> {
    ServerName::try_from(NAME).unwrap()
}

/// Returns the configuration of a client that trusts the authority with this certificate.
pub fn client_that_trusts(authority: CertificateDer<'static>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority).unwrap();
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A certificate authority that the clients trust.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub struct Identity {
    /// The certificate, signed by the authority.
    pub certificate: rcgen::Certificate,
    /// The key of the certificate.
    pub key: KeyPair,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// Makes an authority with a key of its own.
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Issues a certificate for [`NAME`].
    pub fn issue(&self) -> Identity {
        let params = CertificateParams::new([NAME.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate, key }
    }

    /// Returns the configuration of a client that trusts this authority.
    pub fn client(&self) -> ClientConfig {
        client_that_trusts(self.certificate())
    }

    /// Returns the certificate of the authority.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// Returns the configuration of a server with a certificate of this authority.
    pub fn server(&self) -> ServerConfig {
        let Identity { certificate, key } = self.issue();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}
