//! The link: its states, its getters, and how it is polled.

use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use pin_project::pin_project;

use super::attempt::ConnectAttempt;
use super::flags::{CHANGED, Flags, IDLE};
use super::shared::{Command, Role, SharedGuard};
use super::state::State;
use super::supervisor::{Settings, Supervisor};
use super::timers::{Delay, IdleTimer, now};
use crate::connect::{Attempt, Connect};
use crate::error::{ConnectionLost, GaveUp};

/// One connection after another. See the [module](super) for its contract.
///
/// [`State`] draws the states; [`transition`](super::transition) has every way between them.
#[pin_project]
pub(crate) struct Link<C: Connect> {
    #[pin]
    pub(super) state: ConnState<C>,
    pub(super) supervisor: Box<Supervisor<C>>,
    pub(super) shared: SharedGuard,
}

#[pin_project(project = ConnStateProj)]
pub(super) enum ConnState<C: Connect> {
    Connected {
        #[pin]
        io: C::Io,
        since: Instant,
    },
    Backoff {
        timer: Delay,
        attempt: u32,
        delay: Duration,
    },
    Connecting {
        attempt: ConnectAttempt<C::Future>,
        number: u32,
    },
    GaveUp(GaveUp),
    /// With the loss that nothing has replaced, if the connection was lost while it was shut down.
    Closed(Option<ConnectionLost>),
}

/// Why a link has no connection, and does not get one by waiting.
#[derive(Debug)]
pub(crate) enum Unavailable {
    GaveUp(GaveUp),
    Closed,
    /// An attempt failed with an error that is the caller's. The outage continues at the next
    /// poll.
    Surfaced(io::Error),
}

impl<C: Connect> Link<C> {
    /// Returns a link that makes its first attempt when it is polled.
    pub(crate) fn lazy(connector: C, settings: Settings) -> Self {
        Self {
            state: ConnState::backoff(1, Duration::ZERO),
            supervisor: Box::new(Supervisor::new(connector, settings)),
            shared: SharedGuard::default(),
        }
    }

    /// Returns a link that has a connection already.
    pub(crate) fn wrap(connector: C, settings: Settings, io: C::Io) -> Self {
        Self::with_connection(Supervisor::new(connector, settings), io)
    }

    /// Returns a link whose first connection was made by a single attempt.
    ///
    /// # Errors
    ///
    /// The error of the attempt, or `TimedOut`.
    pub(crate) async fn connect_once(connector: C, settings: Settings) -> io::Result<Self> {
        let mut supervisor = Supervisor::new(connector, settings);
        let future = supervisor.connector.connect(&Attempt::first());
        let mut attempt = ConnectAttempt::new(future, supervisor.policy.attempt_limit());
        let io = std::future::poll_fn(|cx| attempt.poll(cx))
            .await
            .unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok(Self::with_connection(supervisor, io))
    }

    fn with_connection(mut supervisor: Supervisor<C>, io: C::Io) -> Self {
        let since = now();
        let connected = supervisor.connected(since);
        supervisor
            .report(&[connected])
            .unwrap_or_else(|panic| resume_unwind(panic));
        let link = Self {
            state: ConnState::Connected { io, since },
            supervisor: Box::new(supervisor),
            shared: SharedGuard::default(),
        };
        link.shared.flags.set(CHANGED);
        link
    }

    /// Returns the connection if none of these flags is set: the fast path.
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

    /// Drives the backoff and the attempts. Ready once there is a connection, or none will come.
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
    /// see [`Registrations::prepare_to_wait`](super::shared::Registrations::prepare_to_wait).
    #[inline]
    pub(crate) fn prepare_to_wait(
        self: Pin<&mut Self>,
        role: Role,
        waker: &Waker,
        look: impl FnOnce() -> bool,
    ) -> bool {
        let this = self.project();
        let registrations = &mut this.supervisor.registrations;
        registrations.prepare_to_wait(this.shared, role, waker, look)
    }

    /// Returns whether the polling task is registered and there is no command.
    #[inline]
    pub(crate) fn is_waiting(&self, role: Role, waker: &Waker) -> bool {
        let registrations = &self.supervisor.registrations;
        registrations.is_waiting(&self.shared, role, waker)
    }

    /// Wakes the tasks of all roles but the one that polls.
    pub(crate) fn wake_others(&self, polling: Role) {
        self.shared.wake_others(Some(polling));
    }

    /// Removes the waker of a role that does not wait any more.
    pub(crate) fn deregister(&self, role: Role) {
        self.shared.deregister(role);
    }

    /// Returns the cause of the loss once a read has waited for `limit` without a byte. Until then
    /// it registers the reader with the idle timer.
    pub(crate) fn poll_idle(
        self: Pin<&mut Self>,
        limit: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<io::Error> {
        let this = self.project();
        let idle = &mut this.supervisor.idle;
        let idle = idle.get_or_insert_with(|| IdleTimer::new(limit));
        if !this.shared.flags.any(IDLE) {
            idle.restart(limit);
            this.shared.flags.set(IDLE);
        }
        idle.poll(limit, cx)
    }

    /// Takes what a handle has asked for.
    pub(crate) fn take_command(&self) -> Option<Command> {
        self.shared.take_command()
    }

    #[inline]
    pub(crate) fn flags(&self) -> &Flags {
        &self.shared.flags
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, ConnState::Closed(_))
    }

    /// Returns the loss during a shutdown that nothing has replaced.
    pub(crate) fn unreplaced_loss(&self) -> Option<&ConnectionLost> {
        match &self.state {
            ConnState::Closed(lost) => lost.as_ref(),
            ConnState::Connected { .. }
            | ConnState::Backoff { .. }
            | ConnState::Connecting { .. }
            | ConnState::GaveUp(_) => None,
        }
    }

    pub(crate) fn gave_up(&self) -> Option<&GaveUp> {
        match &self.state {
            ConnState::GaveUp(gave_up) => Some(gave_up),
            ConnState::Connected { .. }
            | ConnState::Backoff { .. }
            | ConnState::Connecting { .. }
            | ConnState::Closed(_) => None,
        }
    }

    /// Returns the last loss, which may have been replaced by a connection.
    pub(crate) fn last_loss(&self) -> Option<ConnectionLost> {
        self.supervisor.last_loss()
    }
}

impl<C: Connect> ConnState<C> {
    pub(super) fn backoff(attempt: u32, delay: Duration) -> Self {
        Self::Backoff {
            timer: Delay::new(delay),
            attempt,
            delay,
        }
    }

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
