//! The link: what it holds in each state, and how it is polled.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use pin_project::pin_project;

use super::control::Owner;
use super::dial::Dial;
use super::idle::{Idle, expired};
use super::pause::Pause;
use super::{Core, Role, State};
use crate::connect::Connect;
use crate::error::{ConnectionLost, GaveUp};

/// One connection after another.
///
/// [`State`] draws its states; [`transitions`](super::transitions) has every way from one to the
/// next. It moves only when it is polled, and every poll that answers `Pending` has remembered
/// its waker in [`Wakers`](super::wakers::Wakers).
#[pin_project]
pub(crate) struct Link<C: Connect> {
    #[pin]
    pub(super) phase: Phase<C>,
    pub(super) core: Box<Core<C>>,
    pub(super) shared: Owner,
}

#[pin_project(project = PhaseProj)]
pub(super) enum Phase<C: Connect> {
    Connected {
        #[pin]
        io: C::Io,
        since: Instant,
    },
    Backoff {
        pause: Pause,
        attempt: u32,
        delay: Duration,
    },
    Connecting {
        dial: Dial<C::Future>,
        attempt: u32,
    },
    GaveUp(GaveUp),
    Closed,
}

/// Why a link has no connection, and will not get one by waiting.
#[derive(Debug)]
pub(crate) enum Halt {
    GaveUp(GaveUp),
    Closed,
    /// An attempt failed with an error that is the caller's. The outage goes on at the next poll.
    Surfaced(io::Error),
}

impl<C: Connect> Link<C> {
    /// The connection, if it can be used without looking around: the ready path.
    #[inline]
    pub(crate) fn live(self: Pin<&mut Self>, role: Role) -> Option<Pin<&mut C::Io>> {
        let this = self.project();
        match this.phase.project() {
            PhaseProj::Connected { io, .. } if this.shared.signals.are_quiet(role) => Some(io),
            _ => None,
        }
    }

    /// The connection, if there is one.
    pub(crate) fn connection(self: Pin<&mut Self>) -> Option<Pin<&mut C::Io>> {
        match self.project().phase.project() {
            PhaseProj::Connected { io, .. } => Some(io),
            PhaseProj::Backoff { .. }
            | PhaseProj::Connecting { .. }
            | PhaseProj::GaveUp(_)
            | PhaseProj::Closed => None,
        }
    }

    /// Goes on towards a connection. Ready with its generation, or with the reason why there
    /// will be none.
    ///
    /// `Pending` is ended by the timer or the attempt, which wake every role, by whatever
    /// another role makes of the link meanwhile, and by a command.
    pub(crate) fn poll_connected(
        mut self: Pin<&mut Self>,
        role: Role,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u64, Halt>> {
        loop {
            self.shared.wakers.remember(role, cx.waker());
            self.as_mut().obey();
            let everyone = self.shared.waker();
            let cx = &mut Context::from_waker(&everyone);
            match self.as_mut().project().phase.project() {
                PhaseProj::Connected { .. } => return Poll::Ready(Ok(self.generation())),
                PhaseProj::Backoff { pause, .. } => {
                    ready!(pause.poll(cx));
                    self.shared.wakers.forget(role);
                    self.as_mut().start_attempt()?;
                }
                PhaseProj::Connecting { dial, attempt } => {
                    let number = *attempt;
                    let outcome = ready!(dial.poll(cx));
                    self.shared.wakers.forget(role);
                    self.as_mut().end_attempt(number, outcome)?;
                }
                PhaseProj::GaveUp(gave_up) => {
                    return Poll::Ready(Err(Halt::GaveUp(gave_up.clone())));
                }
                PhaseProj::Closed => return Poll::Ready(Err(Halt::Closed)),
            }
        }
    }

    /// To be called when the connection answered `Pending`, before that is passed on. Ready if
    /// there is something else to do after all.
    ///
    /// `Pending` is ended by the connection, which has the waker of `cx`; by the idle timer; by
    /// whatever another role makes of the link, since the waker is remembered here; and by a
    /// command.
    pub(crate) fn poll_wait(
        mut self: Pin<&mut Self>,
        role: Role,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.shared.wakers.remember(role, cx.waker());
        if self.shared.signals.has_command() {
            return Poll::Ready(Ok(()));
        }
        match self.wait_limit(role) {
            Some(limit) => {
                let expired = ready!(self.as_mut().poll_idle(limit, cx));
                Poll::Ready(self.lose(role, expired))
            }
            None => Poll::Pending,
        }
    }

    /// Whether there is nothing to do but to wait, for whatever wakes this role. To be asked
    /// when its waker was remembered.
    #[inline]
    pub(crate) fn can_wait(&self, role: Role) -> bool {
        !self.shared.signals.has_command() && self.wait_limit(role).is_none()
    }

    /// How long this role waits for bytes at most.
    #[inline]
    fn wait_limit(&self, role: Role) -> Option<Duration> {
        match role {
            Role::Read => self.core.policy.idle_limit(),
            Role::Write | Role::Watch => None,
        }
    }

    fn poll_idle(self: Pin<&mut Self>, limit: Duration, cx: &mut Context<'_>) -> Poll<io::Error> {
        let this = self.project();
        let idle = this.core.idle.get_or_insert_with(|| Idle::new(limit));
        if !this.shared.signals.is_idling() {
            idle.restart(limit);
            this.shared.signals.start_idling();
        }
        idle.poll(limit, cx).map(|()| expired(limit))
    }

    /// Bytes have moved.
    pub(crate) fn stop_idling(&self) {
        self.shared.signals.stop_idling();
    }

    /// Whether this role has not heard of the last loss yet, and should before it goes on. A
    /// reader should, too, after a shutdown that ended an outage: what it has read is not all.
    pub(crate) fn has_news(&self, role: Role) -> bool {
        let matters = match self.phase {
            Phase::Connected { .. } | Phase::Backoff { .. } | Phase::Connecting { .. } => true,
            Phase::Closed => self.is_finishing() && role == Role::Read,
            Phase::GaveUp(_) => false,
        };
        matters && self.shared.signals.has_news(role)
    }

    /// The last loss, once for each role.
    pub(crate) fn take_news(&self, role: Role) -> Option<ConnectionLost> {
        if self.has_news(role) && self.shared.signals.take_news(role) {
            self.last_loss()
        } else {
            None
        }
    }

    fn last_loss(&self) -> Option<ConnectionLost> {
        let cause = self.core.last_loss.clone()?;
        let generation = match self.phase {
            Phase::Connected { .. } => self.generation().saturating_sub(1),
            Phase::Backoff { .. } | Phase::Connecting { .. } | Phase::GaveUp(_) | Phase::Closed => {
                self.generation()
            }
        };
        Some(ConnectionLost { generation, cause })
    }
}

impl<C: Connect> Phase<C> {
    /// An attempt that need not wait.
    pub(super) fn due(attempt: u32) -> Self {
        Self::backoff(attempt, Duration::ZERO)
    }

    pub(super) fn backoff(attempt: u32, delay: Duration) -> Self {
        Self::Backoff {
            pause: Pause::new(delay),
            attempt,
            delay,
        }
    }

    pub(super) fn state(&self, generation: u64) -> State {
        match *self {
            Self::Connected { .. } => State::Connected { generation },
            Self::Backoff { attempt, delay, .. } => State::Backoff { attempt, delay },
            Self::Connecting { attempt, .. } => State::Connecting { attempt },
            Self::GaveUp(_) => State::GaveUp,
            Self::Closed => State::Closed,
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
