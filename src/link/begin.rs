//! The ways in which a link begins.

use std::future::poll_fn;
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;

use super::control::Owner;
use super::dial::Dial;
use super::machine::{Link, Phase};
use super::{Core, Role, clock};
use crate::connect::{Attempt, Connect};

impl<C: Connect> Link<C> {
    /// A link that dials at its first poll.
    pub(crate) fn lazy(core: Core<C>) -> Self {
        Self {
            phase: Phase::due(1),
            core: Box::new(core),
            shared: Owner::default(),
        }
    }

    /// A link that has a connection already.
    pub(crate) fn wrap(core: Core<C>, io: C::Io) -> Self {
        let mut link = Self {
            phase: Phase::Closed,
            core: Box::new(core),
            shared: Owner::default(),
        };
        link.phase = link.core.first_connection(io);
        link
    }

    /// A link whose first connection is made now: by one attempt, or under the policy.
    pub(crate) async fn connect(retry: bool, mut core: Core<C>) -> io::Result<Self>
    where
        C::Io: Unpin,
    {
        if !retry {
            let io = core.first_attempt().await?;
            return Ok(Self::wrap(core, io));
        }
        let mut link = Self::lazy(core);
        link.connected().await?;
        Ok(link)
    }

    /// Waits for a connection, and returns its generation.
    pub(crate) async fn connected(&mut self) -> io::Result<u64>
    where
        C::Io: Unpin,
    {
        poll_fn(|cx| Pin::new(&mut *self).poll_connected(Role::Watch, cx))
            .await
            .map_err(|halt| halt.into_error(io::ErrorKind::NotConnected))
    }

    /// Waits for a connection, and tells no half of the losses before it any more.
    pub(crate) async fn crossed(&mut self) -> io::Result<u64>
    where
        C::Io: Unpin,
    {
        let generation = self.connected().await?;
        for role in [Role::Read, Role::Write] {
            self.take_news(role);
        }
        Ok(generation)
    }
}

impl<C: Connect> Core<C> {
    fn first_connection(&mut self, io: C::Io) -> Phase<C> {
        let since = clock::now();
        self.count_connection();
        self.report_connection(since);
        Phase::Connected { io, since }
    }

    async fn first_attempt(&mut self) -> io::Result<C::Io> {
        let attempt = Attempt::first();
        let future = self.connector.connect(&attempt);
        let mut dial = Dial::new(future, self.policy.attempt_limit());
        poll_fn(|cx| dial.poll(cx))
            .await
            .unwrap_or_else(|panic| resume_unwind(panic))
    }
}
