//! The getters of a link.

use std::task::Waker;

use super::handle::Handle;
use super::link::{ConnState, Link};
use super::state::State;
use crate::connect::Connect;
use crate::policy::Policy;
use crate::seam::Seam;

impl<C: Connect> Link<C> {
    pub(crate) fn seam(&self) -> Seam {
        self.supervisor.seam
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.supervisor.policy
    }

    /// Returns the number of the latest connection; 0 before the first.
    pub(crate) fn generation(&self) -> u64 {
        self.supervisor.generation
    }

    pub(crate) fn state(&self) -> State {
        self.state.state(self.generation())
    }

    /// Returns a waker that wakes the tasks of all roles.
    pub(crate) fn waker(&self) -> Waker {
        self.shared.waker()
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle::new(self.shared.share(), self.state())
    }

    pub(crate) fn get_ref(&self) -> Option<&C::Io> {
        match &self.state {
            ConnState::Connected { io, .. } => Some(io),
            ConnState::Backoff { .. }
            | ConnState::Connecting { .. }
            | ConnState::GaveUp(_)
            | ConnState::Closed(_) => None,
        }
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut C::Io> {
        match &mut self.state {
            ConnState::Connected { io, .. } => Some(io),
            ConnState::Backoff { .. }
            | ConnState::Connecting { .. }
            | ConnState::GaveUp(_)
            | ConnState::Closed(_) => None,
        }
    }

    pub(crate) fn into_inner(self) -> Option<C::Io> {
        match self.state {
            ConnState::Connected { io, .. } => Some(io),
            ConnState::Backoff { .. }
            | ConnState::Connecting { .. }
            | ConnState::GaveUp(_)
            | ConnState::Closed(_) => None,
        }
    }
}
