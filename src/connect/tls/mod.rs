//! A connector that makes a TLS handshake on each connection of another connector.

mod handshake;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{self, ClientConfig, pki_types::ServerName};

use self::handshake::{Handshake, StartHandshake};
use super::attempt::Attempt;
use super::connect::Connect;
use super::then::Then;
use crate::tls_error;

/// Connects with another connector, then makes a TLS handshake.
///
/// The handshake is part of the attempt, so
/// [`attempt_timeout`](crate::Policy::attempt_timeout) covers it. All connections share one
/// [`ClientConfig`] and its session tickets. A reconnect resumes the last session if the server
/// allows it, which saves the exchange of certificates. In TLS 1.3 the tickets arrive after the
/// handshake and are processed by the first read, so a stream that is never read does not resume.
///
/// This crate has no cryptography of its own. Enable the feature `ring` or `aws-lc-rs` of the crate
/// `tokio-rustls`, or use another provider, and set the trusted roots in the configuration.
///
/// # Client certificates and protocols
///
/// Both are settings of the [`ClientConfig`]: a client certificate with `with_client_auth_cert` in
/// place of `with_no_client_auth`, the protocols of ALPN in `alpn_protocols`. Each connection may
/// have another protocol, because each has another handshake. The stream's
/// [`get_ref`](crate::ReconnectingStream::get_ref) has that of the current one:
///
/// ```
/// # use reconnecting_stream::{Connect, ReconnectingStream};
/// # use tokio::net::TcpStream;
/// # use tokio_rustls::client::TlsStream;
/// # use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
/// # use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore};
/// fn config(
///     roots: RootCertStore,
///     certificate: CertificateDer<'static>,
///     key: PrivateKeyDer<'static>,
/// ) -> Result<ClientConfig, Error> {
///     let builder = ClientConfig::builder().with_root_certificates(roots);
///     let mut config = builder.with_client_auth_cert(vec![certificate], key)?;
///     config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
///     Ok(config)
/// }
///
/// fn protocol<C>(stream: &ReconnectingStream<C>) -> Option<&[u8]>
/// where
///     C: Connect<Io = TlsStream<TcpStream>>,
/// {
///     stream.get_ref()?.get_ref().1.alpn_protocol()
/// }
/// ```
///
/// To refuse a server that chose no protocol, check it in [`and_then`](Connect::and_then).
///
/// # Permanent and transient errors
///
/// An attempt whose handshake fails is repeated if [`is_transient`](TlsConnector::is_transient)
/// returns true for the error, and is [`Permanent`](crate::Permanent) otherwise.
/// [`retry_if`](Self::retry_if) sets another rule.
///
/// | the handshake failed with | result |
/// |---|---|
/// | a wrong certificate: of an unknown issuer, for another name, with a bad signature, revoked, or refused by your own verifier | permanent |
/// | a certificate that is expired or not valid yet | retried, because the certificate may be renewed or a clock be corrected |
/// | an unknown revocation status: the list expired, the OCSP response missing or invalid | retried |
/// | a refusal by the peer: the client certificate missing, bad, revoked or of an unknown issuer, access denied, the server name not known, no version, cipher or protocol in common | permanent |
/// | another alert: an internal error, the client certificate expired | retried |
/// | bytes that are not TLS, or were changed in transit | retried, because another server may have the port while this one starts. The first attempt of a stream is not repeated by default |
/// | the end of the connection, a reset, a timeout | retried, as any attempt |
///
/// A TLS 1.3 server refuses a client certificate only after the handshake, so the first read gets
/// the refusal. It is permanent there, too.
///
/// # Errors of the connection
///
/// - The end of the connection without the peer's `close_notify` is a truncation. The connection is
///   lost, even with [`Eof::Pass`](crate::Eof::Pass). After a `close_notify` it is an ordinary end.
/// - A record that was changed in transit is a loss as well. Rustls reads no further, because no
///   later data can be trusted, and the connection is unusable.
/// - A write fills a buffer of rustls of 64 KiB. Flush it before you wait for an answer.
///
/// # Errors
///
/// An attempt fails with the unchanged error of `connector`, or with one of the handshake. A
/// permanent error has the kind [`InvalidData`](io::ErrorKind::InvalidData) with a
/// [`Permanent`](crate::Permanent) inside, whose source is the [`rustls::Error`]. A transient error
/// has the kind
/// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) with the [`rustls::Error`] inside.
///
/// # Cancel safety
///
/// Dropping a handshake drops its connection.
///
/// # Examples
///
/// ```no_run
/// use std::sync::Arc;
/// use reconnecting_stream::{ReconnectingStream, TlsConnector};
/// use tokio::net::TcpStream;
/// use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
/// use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// // The trusted roots. The crates `webpki-roots` and `rustls-native-certs` have the usual ones.
/// let mut roots = RootCertStore::empty();
/// for certificate in CertificateDer::pem_file_iter("/etc/ssl/certs/ca-certificates.crt")? {
///     roots.add(certificate?)?;
/// }
/// // The provider of `tokio-rustls/ring`. `ClientConfig::builder()` uses that of the process.
/// let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
///     .with_safe_default_protocol_versions()?
///     .with_root_certificates(roots)
///     .with_no_client_auth();
///
/// let connector = TlsConnector::new(
///     || TcpStream::connect("example.com:443"),
///     ServerName::try_from("example.com")?,
///     config,
/// );
/// let stream = ReconnectingStream::connect(connector).await?;
/// # let _ = stream;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TlsConnector<C> {
    pub(in crate::connect) connector: C,
    step: StartHandshake,
}

impl<C> TlsConnector<C>
where
    C: Connect<Io: AsyncRead + AsyncWrite + Unpin>,
{
    /// Returns a connector that makes a handshake on each connection of `connector`.
    ///
    /// The certificate has to be valid for `server_name`, which is also sent to the server (SNI).
    /// It does not depend on the address that `connector` connects to.
    pub fn new(
        connector: C,
        server_name: ServerName<'static>,
        config: impl Into<Arc<ClientConfig>>,
    ) -> Self {
        Self {
            connector,
            step: StartHandshake {
                server_name,
                tls: config.into().into(),
                is_transient: tls_error::is_transient,
            },
        }
    }

    /// Sets which handshake errors are transient. An attempt that fails with one is repeated; every
    /// other error is [`Permanent`](crate::Permanent).
    ///
    /// # Defaults
    ///
    /// [`is_transient`](TlsConnector::is_transient).
    ///
    /// # Examples
    ///
    /// ```
    /// use reconnecting_stream::TlsConnector;
    /// use tokio_rustls::rustls::{CertificateError, Error};
    ///
    /// // The server makes a certificate at every start, and the client gets it later.
    /// fn is_transient(error: &Error) -> bool {
    ///     *error == Error::InvalidCertificate(CertificateError::UnknownIssuer)
    ///         || TlsConnector::is_transient(error)
    /// }
    /// # let _ = is_transient;
    /// ```
    #[must_use]
    pub fn retry_if(mut self, is_transient: fn(&rustls::Error) -> bool) -> Self {
        self.step.is_transient = is_transient;
        self
    }
}

impl<C> TlsConnector<C> {
    /// Returns the TLS configuration.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        self.step.tls.config()
    }
}

impl TlsConnector<()> {
    /// Returns true if the same handshake may succeed later without a change of the client. This is
    /// the default; [`retry_if`](Self::retry_if) replaces it.
    ///
    /// It returns false for wrong certificates, for refusals by the peer, for the lack of a common
    /// version, cipher or protocol, and for errors that only a verifier or a provider of your own
    /// returns ([`General`](rustls::Error::General), [`Other`](rustls::Error::Other)). The table
    /// [above](Self#permanent-and-transient-errors) has the reasons.
    ///
    /// # Examples
    ///
    /// ```
    /// use reconnecting_stream::TlsConnector;
    /// use tokio_rustls::rustls::CertificateError;
    ///
    /// assert!(TlsConnector::is_transient(&CertificateError::Expired.into()));
    /// assert!(!TlsConnector::is_transient(&CertificateError::UnknownIssuer.into()));
    /// ```
    #[must_use]
    pub fn is_transient(error: &rustls::Error) -> bool {
        tls_error::is_transient(error)
    }
}

impl<C> Connect for TlsConnector<C>
where
    C: Connect<Io: AsyncRead + AsyncWrite + Unpin>,
{
    type Io = TlsStream<C::Io>;
    type Future = TlsAttempt<C>;

    fn connect(&mut self, attempt: &Attempt) -> Self::Future {
        TlsAttempt(Then::Connecting {
            attempt: self.connector.connect(attempt),
            step: self.step.clone(),
        })
    }
}

impl<C> fmt::Debug for TlsConnector<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector")
            .field("server_name", &self.step.server_name)
            .finish_non_exhaustive()
    }
}

/// One attempt of a [`TlsConnector`].
#[pin_project]
pub struct TlsAttempt<C: Connect>(#[pin] Then<C::Future, StartHandshake, Handshake<C::Io>>);

impl<C> Future for TlsAttempt<C>
where
    C: Connect<Io: AsyncRead + AsyncWrite + Unpin>,
{
    type Output = io::Result<TlsStream<C::Io>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().0.poll(cx)
    }
}

impl<C: Connect> fmt::Debug for TlsAttempt<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.0 {
            Then::Connecting { .. } => "Connecting",
            Then::Stepping(_) => "Handshaking",
        };
        f.debug_struct("TlsAttempt")
            .field("step", &format_args!("{step}"))
            .finish_non_exhaustive()
    }
}
