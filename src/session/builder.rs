//! How a client makes a stream.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::application::Application;
use super::client::{Dialing, handshake};
use super::driver::Driver;
use super::options::SessionOptions;
use super::protocol::{Dialer, MAX_METADATA};
use super::shared::{End, Session};
use super::stream::ResumableStream;
use super::transport::{Connection, boxed};
use crate::connect::{BoxConnector, Connect};
use crate::link::{Event, Link, Settings};
use crate::policy::Policy;
use crate::seam::Seam;

/// Builds the client's end of a [`ResumableStream`].
///
/// # Defaults
///
/// The default [`Policy`] and [`SessionOptions`], no metadata, no observer, one attempt for the first
/// connection.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use reconnecting_stream::{Policy, ResumableStream, SessionOptions};
/// use tokio::net::TcpStream;
///
/// # async fn example() -> std::io::Result<()> {
/// let stream = ResumableStream::builder(|| TcpStream::connect("server.example:7000"))
///     .policy(Policy::default().attempt_timeout(Duration::from_secs(3)))
///     .options(SessionOptions::default().send_buffer(4 * 1024 * 1024))
///     .metadata("user=7")
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct ResumableBuilder<C> {
    connector: C,
    options: SessionOptions,
    metadata: Vec<u8>,
    settings: Settings,
}

impl<C> ResumableBuilder<C> {
    pub(super) fn new(connector: C) -> Self {
        Self {
            connector,
            options: SessionOptions::new(),
            metadata: Vec::new(),
            settings: Settings {
                policy: Policy::new(),
                // The session has no seams. With `Error` the link keeps the last loss.
                seam: Seam::Error,
                observer: None,
                retry_initial_connect: false,
            },
        }
    }

    /// Sets when to try again, and when to give up. If the policy gives up, the session is lost as
    /// [`Expired`](super::Reason::Expired), at the latest after the server's
    /// [time to live](SessionOptions::time_to_live).
    ///
    /// Attempts count as those of a stream: connections that live for less than
    /// [`stable_after`](Policy::stable_after) are one outage, so 100 of them in a row end the session under
    /// the default policy, although each has moved bytes. For such networks set
    /// [`max_attempts(None)`](Policy::max_attempts): the time to live limits each time without a
    /// connection.
    ///
    /// A server that is busy may ask for a longer wait than the backoff. The client grants it up to
    /// 2 minutes, within the policy's limits.
    ///
    /// A session does not use the policy's classification of read and write errors, its idle timeout
    /// or [`eof`](Policy::eof): every error and every end of a connection is a loss.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Sets the buffers, the timers and the limits.
    pub fn options(mut self, options: SessionOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets what the server is told about the session when it begins, such as the name of the user.
    /// More than 1 KiB is an error of `connect`. It is not encrypted.
    pub fn metadata(mut self, metadata: impl AsRef<[u8]>) -> Self {
        self.metadata = metadata.as_ref().to_vec();
        self
    }

    /// Sets whether `connect` retries the first connection under the policy. By default it makes a
    /// single attempt, so that a wrong address is noticed immediately.
    pub fn retry_initial_connect(mut self, retry: bool) -> Self {
        self.settings.retry_initial_connect = retry;
        self
    }

    /// Sets an observer, which the session's task calls with each event. It should not block.
    pub fn on_event<F>(mut self, observer: F) -> Self
    where
        F: FnMut(&Event) + Send + Sync + 'static,
    {
        self.settings.observer = Some(Box::new(observer));
        self
    }
}

impl<C> ResumableBuilder<C>
where
    C: Connect<Io: AsyncRead + AsyncWrite + Send + 'static, Future: Send + 'static>
        + Send
        + 'static,
{
    /// Begins the session: makes the first connection now, with one attempt unless
    /// [`retry_initial_connect`](Self::retry_initial_connect) is on.
    ///
    /// # Errors
    ///
    /// The error of the attempt, [`TimedOut`](ErrorKind::TimedOut),
    /// [`InvalidInput`](ErrorKind::InvalidInput) for metadata of more than 1 KiB, or a
    /// [`SessionLost`](super::SessionLost) if the server refuses the session. A server that has no room
    /// for it is [`ResourceBusy`](ErrorKind::ResourceBusy). With `retry_initial_connect` the error is a
    /// [`GaveUp`](crate::GaveUp), or one that the policy [surfaces](crate::Verdict::Surface).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempt.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time enabled.
    pub async fn connect(self) -> io::Result<ResumableStream> {
        if self.metadata.len() > MAX_METADATA {
            let message = "the metadata of a session has at most 1,024 bytes";
            return Err(io::Error::new(ErrorKind::InvalidInput, message));
        }
        let retries = self.settings.retry_initial_connect;
        let (session, connector, settings) = self.begin();
        if !retries {
            let link = Link::connect_once(connector, settings).await?;
            return Ok(run(session, link));
        }
        let mut dialing = Dialing::new(Link::lazy(connector, settings));
        dialing.connect().await?;
        Ok(spawn(session, dialing))
    }

    /// Returns the stream immediately. The first connection is made under the policy, while the stream
    /// takes bytes up to its send buffer. Metadata of more than 1 KiB is cut off.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time enabled.
    pub fn lazy(self) -> ResumableStream {
        let (session, connector, settings) = self.begin();
        run(session, Link::lazy(connector, settings))
    }

    fn begin(mut self) -> (Arc<Session>, BoxConnector<Connection>, Settings) {
        self.metadata.truncate(MAX_METADATA);
        let options = self.options.of_session(self.options.full_share());
        let dialer = Dialer::new(options, self.metadata.clone());
        let session = Arc::new(Session::new(End::Dialer(dialer), &self.metadata));
        let shared = Arc::clone(&session);
        let connector = self.connector.map(boxed);
        let connector = connector.and_then(move |io| handshake(io, shared)).boxed();
        (session, connector, self.settings)
    }
}

fn run(session: Arc<Session>, link: Link<BoxConnector<Connection>>) -> ResumableStream {
    spawn(session, Dialing::new(link))
}

fn spawn(session: Arc<Session>, dialing: Dialing) -> ResumableStream {
    let handle = dialing.handle();
    let application = Application::new(Arc::clone(&session), handle);
    tokio::spawn(Driver::new(session, dialing));
    ResumableStream { application }
}

impl<C> fmt::Debug for ResumableBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumableBuilder")
            .field("options", &self.options)
            .field("policy", &self.settings.policy)
            .finish_non_exhaustive()
    }
}
