//! The link: what it holds in each state, and how it is polled.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use pin_project::pin_project;

use super::control::Owner;
use super::dial::Dial;
use super::idle::Idle;
use super::pause::Pause;
use super::{Core, Handle, Role, State};
use crate::connect::Connect;
use crate::error::{ConnectionLost, GaveUp};
use crate::policy::Policy;

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
        generation: u64,
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
                PhaseProj::Connected { generation, .. } => return Poll::Ready(Ok(*generation)),
                PhaseProj::Backoff { pause, .. } => {
                    ready!(pause.poll(cx));
                    self.as_mut().start_attempt()?;
                }
                PhaseProj::Connecting { dial, attempt } => {
                    let number = *attempt;
                    let outcome = ready!(dial.poll(cx));
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
        match self.core.policy.idle_limit() {
            Some(limit) if role == Role::Read => {
                let expired = ready!(self.as_mut().poll_idle(limit, cx));
                Poll::Ready(self.lose(role, expired))
            }
            Some(_) | None => Poll::Pending,
        }
    }

    fn poll_idle(self: Pin<&mut Self>, limit: Duration, cx: &mut Context<'_>) -> Poll<io::Error> {
        let this = self.project();
        let idle = this.core.idle.get_or_insert_with(|| Idle::new(limit));
        if !this.shared.signals.is_idling() {
            idle.restart();
            this.shared.signals.start_idling();
        }
        idle.poll(cx).map(|()| idle.expired())
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
            self.core.last_loss.clone()
        } else {
            None
        }
    }

    /// Whether the user has begun to shut down.
    pub(crate) fn is_finishing(&self) -> bool {
        self.shared.signals.is_finishing()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.shared.signals.is_finished()
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// An error if nothing can be sent any more.
    pub(crate) fn check_open(&self) -> io::Result<()> {
        match &self.phase {
            Phase::GaveUp(gave_up) => Err(gave_up.clone().into()),
            Phase::Connected { .. } | Phase::Backoff { .. } | Phase::Connecting { .. }
                if !self.is_finishing() =>
            {
                Ok(())
            }
            Phase::Connected { .. }
            | Phase::Backoff { .. }
            | Phase::Connecting { .. }
            | Phase::Closed => Err(Halt::Closed.into_error(io::ErrorKind::BrokenPipe)),
        }
    }

    pub(crate) fn gave_up(&self) -> Option<GaveUp> {
        match &self.phase {
            Phase::GaveUp(gave_up) => Some(gave_up.clone()),
            Phase::Connected { .. }
            | Phase::Backoff { .. }
            | Phase::Connecting { .. }
            | Phase::Closed => None,
        }
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.core.policy
    }

    /// Of the latest connection; 0 before the first.
    pub(crate) fn generation(&self) -> u64 {
        self.core.generation
    }

    pub(crate) fn state(&self) -> State {
        self.phase.state()
    }

    /// Wakes every role.
    pub(crate) fn waker(&self) -> Waker {
        self.shared.waker()
    }

    /// To be called before the caller looks at what it may have to wait for.
    pub(crate) fn remember(&self, role: Role, cx: &Context<'_>) {
        self.shared.wakers.remember(role, cx.waker());
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle::new(self.shared.share(), self.state())
    }

    pub(crate) fn get_ref(&self) -> Option<&C::Io> {
        match &self.phase {
            Phase::Connected { io, .. } => Some(io),
            Phase::Backoff { .. } | Phase::Connecting { .. } | Phase::GaveUp(_) | Phase::Closed => {
                None
            }
        }
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut C::Io> {
        match &mut self.phase {
            Phase::Connected { io, .. } => Some(io),
            Phase::Backoff { .. } | Phase::Connecting { .. } | Phase::GaveUp(_) | Phase::Closed => {
                None
            }
        }
    }

    pub(crate) fn into_inner(self) -> Option<C::Io> {
        match self.phase {
            Phase::Connected { io, .. } => Some(io),
            Phase::Backoff { .. } | Phase::Connecting { .. } | Phase::GaveUp(_) | Phase::Closed => {
                None
            }
        }
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

    pub(super) fn state(&self) -> State {
        match *self {
            Self::Connected { generation, .. } => State::Connected { generation },
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
