//! The builder of every kind of stream.

use std::fmt;

use crate::link::{Event, Settings};
use crate::policy::Policy;
use crate::seam::Seam;

/// Builds a [`ReconnectingStream`](crate::ReconnectingStream), or with another `Kind` a
/// [`Reconnecting`](crate::Reconnecting) client or a `ReconnectingFramed`.
///
/// # Defaults
///
/// The default [`Policy`], [`Seam::Hidden`], no observer, one attempt for the first connection.
///
/// # Examples
///
/// ```
/// use reconnecting_stream::{Event, Policy, ReconnectingStream, Seam};
/// use tokio::net::TcpStream;
///
/// let stream = ReconnectingStream::builder(|| TcpStream::connect("127.0.0.1:6379"))
///     .policy(Policy::default().max_attempts(None))
///     .seam(Seam::Error)
///     .on_event(|event: &Event| println!("{event:?}"))
///     .lazy();
/// assert_eq!(stream.generation(), 0);
/// ```
#[must_use]
pub struct Builder<C, Kind = ByteStream> {
    pub(crate) connector: C,
    #[cfg_attr(
        not(feature = "codec"),
        expect(dead_code, reason = "bytes have no settings")
    )]
    pub(crate) kind: Kind,
    pub(crate) settings: Settings,
}

/// The kind of a [`Builder`] of byte streams. It has no settings of its own.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ByteStream;

impl<C, Kind> Builder<C, Kind> {
    pub(crate) fn new(connector: C, kind: Kind) -> Self {
        Self {
            connector,
            kind,
            settings: Settings {
                policy: Policy::new(),
                seam: Seam::default(),
                observer: None,
                retry_initial_connect: false,
            },
        }
    }

    /// Sets when a connection counts as lost, when to retry, and when to give up.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Sets how it is reported to each half that its connection was replaced.
    pub fn seam(mut self, seam: Seam) -> Self {
        self.settings.seam = seam;
        self
    }

    /// Sets whether `connect` retries the first connection under the policy. By default it makes a
    /// single attempt, so that a wrong address is noticed immediately.
    pub fn retry_initial_connect(mut self, retry: bool) -> Self {
        self.settings.retry_initial_connect = retry;
        self
    }

    /// Sets an observer, which is called with each event from within the poll that causes it. It
    /// should not block. If it panics, the panic continues in the task that polled.
    pub fn on_event<F>(mut self, observer: F) -> Self
    where
        F: FnMut(&Event) + Send + Sync + 'static,
    {
        self.settings.observer = Some(Box::new(observer));
        self
    }
}

impl<C, Kind> fmt::Debug for Builder<C, Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("policy", &self.settings.policy)
            .field("seam", &self.settings.seam)
            .field(
                "retry_initial_connect",
                &self.settings.retry_initial_connect,
            )
            .finish_non_exhaustive()
    }
}
