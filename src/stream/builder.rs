//! The settings of a stream, and its ways to begin.

use std::fmt;
use std::io;

use super::{ReconnectingStream, Seam};
use crate::connect::Connect;
use crate::link::{Core, Event, Link, Observer};
use crate::policy::Policy;

/// The settings of a [`ReconnectingStream`], and its three ways to begin.
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
pub struct Builder<C> {
    connector: C,
    policy: Policy,
    seam: Seam,
    retry_initial_connect: bool,
    observer: Option<Observer>,
}

impl<C: Connect> Builder<C> {
    pub(super) fn new(connector: C) -> Self {
        Self {
            connector,
            policy: Policy::new(),
            seam: Seam::default(),
            retry_initial_connect: false,
            observer: None,
        }
    }

    /// When a connection counts as lost, when to try again, when to give up.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// What the user of the stream gets to know of a swap.
    pub fn seam(mut self, seam: Seam) -> Self {
        self.seam = seam;
        self
    }

    /// Whether [`connect`](Self::connect) makes the first connection under the policy, too,
    /// instead of by one attempt. Off by default: a wrong address should be noticed at once.
    pub fn retry_initial_connect(mut self, retry: bool) -> Self {
        self.retry_initial_connect = retry;
        self
    }

    /// Calls `observer` with everything that happens, from within the poll in which it happens:
    /// it should not block. If it panics, the panic passes to whoever polled.
    pub fn on_event<F>(mut self, observer: F) -> Self
    where
        F: FnMut(&Event) + Send + Sync + 'static,
    {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Makes the first connection now: by one attempt, unless
    /// [`retry_initial_connect`](Self::retry_initial_connect) is on.
    ///
    /// # Errors
    ///
    /// What the one attempt failed with, or [`TimedOut`](io::ErrorKind::TimedOut); with
    /// `retry_initial_connect` a [`GaveUp`](crate::GaveUp).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempt.
    pub async fn connect(self) -> io::Result<ReconnectingStream<C>>
    where
        C::Io: Unpin,
    {
        if self.retry_initial_connect {
            let mut stream = self.lazy();
            stream.connected().await?;
            return Ok(stream);
        }
        let seam = self.seam;
        let link = Link::connect(self.core()).await?;
        Ok(ReconnectingStream { link, seam })
    }

    /// Makes the first connection at the first poll, under the policy.
    pub fn lazy(self) -> ReconnectingStream<C> {
        let seam = self.seam;
        ReconnectingStream {
            link: Link::lazy(self.core()),
            seam,
        }
    }

    /// Begins with a connection that is there already: generation 1.
    pub fn wrap(self, io: C::Io) -> ReconnectingStream<C> {
        let seam = self.seam;
        ReconnectingStream {
            link: Link::wrap(self.core(), io),
            seam,
        }
    }

    fn core(self) -> Core<C> {
        Core::new(self.connector, self.policy, self.observer)
    }
}

impl<C> fmt::Debug for Builder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("policy", &self.policy)
            .field("seam", &self.seam)
            .field("retry_initial_connect", &self.retry_initial_connect)
            .finish_non_exhaustive()
    }
}
