//! The link: its states, its constructors and getters, and how it is polled.

use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use pin_project::pin_project;

use super::attempt::ConnectAttempt;
use super::handle::Handle;
use super::idle::IdleTimer;
use super::reconnector::{Reconnector, Settings};
use super::shared::{CHANGED, IDLE, Role, SharedGuard};
use super::state::State;
use crate::connect::{Attempt, Connect};
use crate::error::{ConnectionLost, GaveUp};
use crate::policy::Policy;
use crate::seam::Seam;
use crate::timer::{Timer, now};

/// One connection after another. See the [module](super) for its contract.
///
/// [`State`] draws the states; [`transition`](super::transition) has every way between them.
#[pin_project]
pub(crate) struct Link<C: Connect> {
    #[pin]
    pub(super) state: ConnState<C>,
    pub(super) reconnector: Box<Reconnector<C>>,
    /// Commands, flags and wakers.
    pub(crate) shared: SharedGuard,
}

#[pin_project(project = ConnStateProj)]
pub(super) enum ConnState<C: Connect> {
    Connected {
        #[pin]
        io: C::Io,
        since: Instant,
    },
    Backoff {
        timer: Timer,
        attempt: u32,
        delay: Duration,
    },
    Connecting {
        attempt: ConnectAttempt<C::Future>,
        number: u32,
    },
    GaveUp(GaveUp),
    /// With the final loss, if the connection was lost while it was shut down.
    Closed(Option<ConnectionLost>),
}

/// Why [`Link::poll_connected`] returns without a connection.
#[derive(Debug)]
pub(crate) enum Unavailable {
    GaveUp(GaveUp),
    Closed,
    /// An attempt failed with an error that the policy surfaces. The outage continues at the next
    /// poll.
    Surfaced(io::Error),
}

impl<C: Connect> Link<C> {
    /// Returns a link that makes its first attempt when it is polled.
    pub(crate) fn lazy(connector: C, settings: Settings) -> Self {
        Self {
            state: ConnState::Backoff {
                timer: Timer::new(Duration::ZERO),
                attempt: 1,
                delay: Duration::ZERO,
            },
            reconnector: Box::new(Reconnector::new(connector, settings)),
            shared: SharedGuard::default(),
        }
    }

    /// Returns a link that has a connection already.
    pub(crate) fn wrap(connector: C, settings: Settings, io: C::Io) -> Self {
        Self::with_connection(Reconnector::new(connector, settings), io)
    }

    /// Returns a link whose first connection was made by a single attempt.
    ///
    /// # Errors
    ///
    /// The error of the attempt, or `TimedOut`.
    pub(crate) async fn connect_once(connector: C, settings: Settings) -> io::Result<Self> {
        let mut reconnector = Reconnector::new(connector, settings);
        let future = reconnector.connector.connect(&Attempt::first());
        let mut attempt = ConnectAttempt::new(future, reconnector.policy.attempt_timeout);
        let io = std::future::poll_fn(|cx| attempt.poll(cx))
            .await
            .unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok(Self::with_connection(reconnector, io))
    }

    fn with_connection(mut reconnector: Reconnector<C>, io: C::Io) -> Self {
        let since = now();
        let connected = reconnector.connected(since);
        reconnector
            .reporter
            .report(&[connected])
            .unwrap_or_else(|panic| resume_unwind(panic));
        let link = Self {
            state: ConnState::Connected { io, since },
            reconnector: Box::new(reconnector),
            shared: SharedGuard::default(),
        };
        link.shared.flags.set(CHANGED);
        link
    }

    /// Returns the connection if none of these flags is set.
    #[inline]
    pub(crate) fn connection_unless(self: Pin<&mut Self>, flags: u32) -> Option<Pin<&mut C::Io>> {
        let this = self.project();
        match this.state.project() {
            ConnStateProj::Connected { io, .. } if !this.shared.flags.any(flags) => Some(io),
            _ => None,
        }
    }

    /// Returns the connection, if there is one.
    #[inline]
    pub(crate) fn connection(self: Pin<&mut Self>) -> Option<Pin<&mut C::Io>> {
        self.connection_unless(0)
    }

    /// Drives the backoff and the attempts. Ready once there is a connection, once no connection
    /// will follow, or when the policy surfaces the error of an attempt.
    ///
    /// While it is `Pending`, the timer and the attempt have a waker that wakes the tasks of all
    /// roles: the task that polled last may have been dropped when they complete.
    pub(crate) fn poll_connected(
        mut self: Pin<&mut Self>,
        role: Role,
    ) -> Poll<Result<(), Unavailable>> {
        loop {
            let waker = self.shared.waker();
            let cx = &mut Context::from_waker(&waker);
            match self.as_mut().project().state.project() {
                ConnStateProj::Connected { .. } => return Poll::Ready(Ok(())),
                ConnStateProj::Backoff { timer, .. } => {
                    ready!(timer.poll(cx));
                    self.as_mut().start_attempt(role)?;
                }
                ConnStateProj::Connecting { attempt, number } => {
                    let number = *number;
                    let outcome = ready!(attempt.poll(cx));
                    self.as_mut().end_attempt(role, number, outcome)?;
                }
                ConnStateProj::GaveUp(gave_up) => {
                    return Poll::Ready(Err(Unavailable::GaveUp(gave_up.clone())));
                }
                ConnStateProj::Closed(_) => return Poll::Ready(Err(Unavailable::Closed)),
            }
        }
    }

    /// Registers the polling task, and returns whether it has something to do instead of waiting:
    /// see [`Registrations`](super::shared::Registrations::register_and_check).
    #[inline]
    pub(crate) fn register_and_check(
        self: Pin<&mut Self>,
        role: Role,
        waker: &Waker,
        has_work: impl FnOnce() -> bool,
    ) -> bool {
        let this = self.project();
        let registrations = &mut this.reconnector.registrations;
        registrations.register_and_check(this.shared, role, waker, has_work)
    }

    /// Returns whether the polling task is registered and there is no command.
    #[inline]
    pub(crate) fn is_registered(&self, role: Role, waker: &Waker) -> bool {
        let registrations = &self.reconnector.registrations;
        registrations.is_registered(&self.shared, role, waker)
    }

    /// Returns the cause of the loss once a read has waited for the idle timeout without a byte.
    /// Until then it registers the reader with the idle timer. Without a connection, or without
    /// an idle timeout, it registers nothing.
    pub(crate) fn poll_idle(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Error> {
        let this = self.project();
        let (Some(limit), ConnState::Connected { .. }) =
            (this.reconnector.policy.idle_timeout, &*this.state)
        else {
            return Poll::Pending;
        };
        let idle = &mut this.reconnector.idle;
        let idle = idle.get_or_insert_with(|| Box::new(IdleTimer::new(limit)));
        if !this.shared.flags.any(IDLE) {
            idle.restart(limit);
            this.shared.flags.set(IDLE);
        }
        idle.poll(limit, cx)
    }

    pub(crate) fn seam(&self) -> Seam {
        self.reconnector.seam
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.reconnector.policy
    }

    /// Returns the number of the latest connection; 0 before the first.
    pub(crate) fn generation(&self) -> u64 {
        self.reconnector.generation
    }

    pub(crate) fn state(&self) -> State {
        self.state.state(self.reconnector.generation)
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle::new(self.shared.share(), self.state())
    }

    pub(crate) fn get_ref(&self) -> Option<&C::Io> {
        let ConnState::Connected { io, .. } = &self.state else {
            return None;
        };
        Some(io)
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut C::Io> {
        let ConnState::Connected { io, .. } = &mut self.state else {
            return None;
        };
        Some(io)
    }

    pub(crate) fn into_inner(self) -> Option<C::Io> {
        let ConnState::Connected { io, .. } = self.state else {
            return None;
        };
        Some(io)
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, ConnState::Closed(_))
    }

    pub(crate) fn gave_up(&self) -> Option<&GaveUp> {
        let ConnState::GaveUp(gave_up) = &self.state else {
            return None;
        };
        Some(gave_up)
    }

    /// Returns the loss that closed the link: no connection follows, because the stream was being
    /// shut down.
    pub(crate) fn final_loss(&self) -> Option<&ConnectionLost> {
        let ConnState::Closed(lost) = &self.state else {
            return None;
        };
        lost.as_ref()
    }

    /// Returns the last loss, which may have been replaced by a connection.
    pub(crate) fn last_loss(&self) -> Option<ConnectionLost> {
        let (generation, cause) = self.reconnector.last_loss.clone()?;
        Some(ConnectionLost {
            generation,
            cause,
            dropped_bytes: 0,
        })
    }
}

impl<C: Connect> ConnState<C> {
    pub(super) fn state(&self, generation: u64) -> State {
        match *self {
            Self::Connected { .. } => State::Connected { generation },
            Self::Backoff { attempt, delay, .. } => State::Backoff { attempt, delay },
            Self::Connecting { number, .. } => State::Connecting { attempt: number },
            Self::GaveUp(_) => State::GaveUp,
            Self::Closed(_) => State::Closed,
        }
    }
}

impl<C: Connect> fmt::Debug for Link<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
