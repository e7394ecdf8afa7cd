//! A TLS handshake on top of any connection.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{self, ClientConfig, pki_types::ServerName};

use super::{Attempt, Connect};
use crate::error::Permanent;
use crate::tls_error;

/// Connects with another connector, then makes a TLS handshake.
///
/// The handshake is a part of the attempt, and so within
/// [`attempt_timeout`](crate::Policy::attempt_timeout). All connections share one
/// [`ClientConfig`], and with it the tickets of its sessions: a reconnect resumes the last
/// session if the server lets it, which spares the certificates. In TLS 1.3 the tickets come after the handshake, and the first read takes them
/// in: a stream that is never read does not resume.
///
/// This crate brings no cryptography: turn on the feature `ring` or `aws-lc-rs` of the crate
/// `tokio-rustls`, or choose a provider that you have, and say in the configuration whom to
/// trust.
///
/// # Which errors are final
///
/// An attempt whose handshake fails is repeated if [`is_transient`](TlsConnector::is_transient) says
/// so, and is [`Permanent`] if not; [`retry_if`](Self::retry_if) takes another classifier.
///
/// | the handshake ended with | what happens |
/// |---|---|
/// | a certificate that is wrong: its issuer unknown, for another name, badly signed, revoked, refused by your own verifier | final |
/// | a certificate that is expired or not valid yet | retried: somebody is about to renew it, or a clock to be set |
/// | a revocation status that can't be had: the list expired, the OCSP response missing or invalid | retried |
/// | the peer's refusal: our certificate missing, bad, revoked or of an unknown issuer, access denied, the name not known, no version, cipher or protocol in common | final |
/// | another alert: an internal error, our certificate expired | retried |
/// | bytes that are not TLS, or were changed on the way | retried: a server that comes up may have another one in its place for a while. The first attempt of a stream is the only one anyway, unless asked otherwise |
/// | the end of the connection, a reset, silence | retried, as any attempt |
///
/// A server that wants a certificate of ours refuses it only after a handshake of TLS 1.3: the
/// refusal meets the first read. There it is final, too.
///
/// # On the connection
///
/// - The end of the connection without the peer's `close_notify` is a truncation, and so a loss,
///   even with [`Eof::Pass`](crate::Eof::Pass). After a `close_notify` it is the ordinary end.
/// - A record that was changed on the way is a loss as well. Nothing that comes after it can be
///   trusted, so rustls reads no further, and the connection is of no use to anybody.
/// - A write fills a buffer of rustls that holds 64 KiB: flush it when you want an answer.
///
/// # Errors
///
/// An attempt fails with what `connector` failed with, as it is; or with what the handshake met:
/// an error of kind [`InvalidData`](io::ErrorKind::InvalidData) with a [`Permanent`] inside,
/// whose source is the [`rustls::Error`]; or one of kind
/// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) with the [`rustls::Error`] inside.
///
/// # Cancel safety
///
/// A handshake that is dropped drops its connection.
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
/// // Whom to trust. The crates `webpki-roots` and `rustls-native-certs` have the usual ones.
/// let mut roots = RootCertStore::empty();
/// for certificate in CertificateDer::pem_file_iter("/etc/ssl/certs/ca-certificates.crt")? {
///     roots.add(certificate?)?;
/// }
/// // The provider of `tokio-rustls/ring`; `ClientConfig::builder()` takes the one of the process.
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
    connector: C,
    server_name: ServerName<'static>,
    tls: tokio_rustls::TlsConnector,
    is_transient: fn(&rustls::Error) -> bool,
}

impl<C> TlsConnector<C>
where
    C: Connect<Io: AsyncRead + AsyncWrite + Unpin>,
{
    /// `server_name` is what the certificate has to be for, and what the server is told that we
    /// want (SNI), wherever `connector` connects to.
    pub fn new(
        connector: C,
        server_name: ServerName<'static>,
        config: impl Into<Arc<ClientConfig>>,
    ) -> Self {
        Self {
            connector,
            server_name,
            tls: config.into().into(),
            is_transient: tls_error::is_transient,
        }
    }

    /// Replaces the classifier of errors of a handshake: true to try again. One that is not tried
    /// again is [`Permanent`].
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
    /// // The server makes itself a certificate for every start, and we are told of it later.
    /// fn classify(error: &Error) -> bool {
    ///     *error == Error::InvalidCertificate(CertificateError::UnknownIssuer)
    ///         || TlsConnector::is_transient(error)
    /// }
    /// # let _ = classify;
    /// ```
    #[must_use]
    pub fn retry_if(mut self, classify: fn(&rustls::Error) -> bool) -> Self {
        self.is_transient = classify;
        self
    }
}

impl<C> TlsConnector<C> {
    /// The settings of TLS.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        self.tls.config()
    }
}

impl TlsConnector<()> {
    /// Whether the same handshake may succeed later, without a change on our side: the classification
    /// that is used unless [`retry_if`](Self::retry_if) says otherwise.
    ///
    /// It says no to certificates that are wrong, to refusals of the peer, to a lack of anything
    /// in common, and to what only a verifier or a provider of your own answers
    /// ([`General`](rustls::Error::General), [`Other`](rustls::Error::Other)). The table
    /// [above](Self#which-errors-are-final) has the reasons.
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
        TlsAttempt {
            step: Step::Connecting {
                attempt: self.connector.connect(attempt),
                server_name: self.server_name.clone(),
                tls: self.tls.clone(),
            },
            is_transient: self.is_transient,
        }
    }
}

impl<C> fmt::Debug for TlsConnector<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// An attempt of a [`TlsConnector`]: `Connecting -> Handshaking`.
#[pin_project]
pub struct TlsAttempt<C: Connect> {
    #[pin]
    step: Step<C>,
    is_transient: fn(&rustls::Error) -> bool,
}

#[allow(
    clippy::large_enum_variant,
    reason = "a link boxes the attempt, whatever its size"
)]
#[pin_project(project = StepProj)]
enum Step<C: Connect> {
    Connecting {
        #[pin]
        attempt: C::Future,
        server_name: ServerName<'static>,
        tls: tokio_rustls::TlsConnector,
    },
    Handshaking(tokio_rustls::Connect<C::Io>),
}

impl<C> Future for TlsAttempt<C>
where
    C: Connect<Io: AsyncRead + AsyncWrite + Unpin>,
{
    type Output = io::Result<TlsStream<C::Io>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.step.as_mut().project() {
                StepProj::Connecting {
                    attempt,
                    server_name,
                    tls,
                } => {
                    let io = ready!(attempt.poll(cx))?;
                    Step::Handshaking(tls.connect(server_name.clone(), io))
                }
                StepProj::Handshaking(handshake) => {
                    let shaken = ready!(Pin::new(handshake).poll(cx));
                    return Poll::Ready(
                        shaken.map_err(|error| tls_error(error, *this.is_transient)),
                    );
                }
            };
            this.step.set(next);
        }
    }
}

impl<C: Connect> fmt::Debug for TlsAttempt<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::Connecting { .. } => "Connecting",
            Step::Handshaking(_) => "Handshaking",
        };
        f.debug_struct("TlsAttempt")
            .field("step", &format_args!("{step}"))
            .finish_non_exhaustive()
    }
}

/// What the attempt fails with: an error that says whether it is final.
fn tls_error(error: io::Error, is_transient: fn(&rustls::Error) -> bool) -> io::Error {
    match tls_error::find(&error).cloned() {
        // The connection's own.
        None => error,
        // Of a kind that is retried, unlike the one of rustls.
        Some(error) if is_transient(&error) => {
            io::Error::new(io::ErrorKind::ConnectionAborted, error)
        }
        Some(error) => io::Error::new(io::ErrorKind::InvalidData, Permanent::new(error)),
    }
}
