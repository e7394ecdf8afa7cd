//! What can be asked of a link.

use std::io;
use std::task::{Context, Waker};

use super::machine::{Halt, Link, Phase};
use super::{Handle, Role, State};
use crate::connect::Connect;
use crate::error::GaveUp;
use crate::policy::Policy;
use crate::seam::Seam;

impl<C: Connect> Link<C> {
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

    pub(crate) fn seam(&self) -> Seam {
        self.core.seam
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.core.policy
    }

    /// Of the latest connection; 0 before the first.
    pub(crate) fn generation(&self) -> u64 {
        self.core.generation
    }

    pub(crate) fn state(&self) -> State {
        self.phase.state(self.generation())
    }

    /// Wakes every role.
    pub(crate) fn waker(&self) -> Waker {
        self.shared.waker()
    }

    /// To be called before the caller looks at what it may have to wait for.
    pub(crate) fn remember(&self, role: Role, cx: &Context<'_>) {
        self.shared.wakers.remember(role, cx.waker());
    }

    /// To be called when the caller does not wait any more.
    pub(crate) fn forget(&self, role: Role) {
        self.shared.wakers.forget(role);
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
