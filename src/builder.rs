//! The settings of a link, whatever goes over it.

use std::fmt;

use crate::link::{Event, Settings};
use crate::policy::Policy;
use crate::seam::Seam;

/// The settings of a [`ReconnectingStream`](crate::ReconnectingStream), and its three ways to
/// begin; with another `Kind`, those of a `ReconnectingFramed`.
///
/// # Defaults
///
/// The default [`Policy`], [`Seam::Hidden`], no observer, a first connection that is attempted
/// once.
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

/// The kind of a [`Builder`] that has no settings of its own: bytes.
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

    /// When a connection counts as lost, when to try again, when to give up.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// What the user gets to know of a swap.
    pub fn seam(mut self, seam: Seam) -> Self {
        self.settings.seam = seam;
        self
    }

    /// Whether `connect` makes the first connection under the policy, too, instead of by one
    /// attempt. Off by default: a wrong address should be noticed at once.
    pub fn retry_initial_connect(mut self, retry: bool) -> Self {
        self.settings.retry_initial_connect = retry;
        self
    }

    /// Calls `observer` with everything that happens, from within the poll in which it happens:
    /// it should not block. If it panics, the panic passes to whoever polled.
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
