//! The type: its constructors and getters.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::Waker;

use pin_project::pin_project;

use super::op::{NothingToRead, closed};
use crate::connect::Connect;
use crate::error::{ConnectionLost, GaveUp};
use crate::link::shared::{CHANGED, COMMANDS, SHUT_DOWN, SHUTTING_DOWN};
use crate::link::{Handle, Link, Role, Settings, State};
use crate::policy::Policy;
use crate::seam::Seam;

/// Runs the operations of one stream over its [`Link`]. See the [module](super).
#[pin_project]
pub(crate) struct Transfer<C: Connect> {
    #[pin]
    pub(super) link: Link<C>,
}

impl<C: Connect> Transfer<C> {
    /// Begins without a connection; the first one is made when it is polled.
    pub(crate) fn lazy(connector: C, settings: Settings) -> Self {
        let link = Link::lazy(connector, settings);
        Self { link }
    }

    /// Begins with a connection that is there already.
    pub(crate) fn wrap(connector: C, settings: Settings, io: C::Io) -> Self {
        let link = Link::wrap(connector, settings, io);
        Self { link }
    }

    /// Makes the first connection: by one attempt, or under the policy.
    ///
    /// # Errors
    ///
    /// The error of the attempt, or the [`GaveUp`](crate::GaveUp) of the policy.
    pub(crate) async fn connect(connector: C, settings: Settings) -> io::Result<Self>
    where
        C::Io: Unpin,
    {
        if !settings.retry_initial_connect {
            let link = Link::connect_once(connector, settings).await?;
            return Ok(Self { link });
        }
        let mut transfer = Self::lazy(connector, settings);
        transfer.connected().await?;
        Ok(transfer)
    }

    /// Waits for a connection, and returns its generation.
    pub(crate) async fn connected(&mut self) -> io::Result<u64>
    where
        C::Io: Unpin,
    {
        poll_fn(|cx| Pin::new(&mut *self).poll_connected(Role::Connect, cx, &mut NothingToRead))
            .await
    }

    /// Wakes the tasks of all roles but the one that polls.
    pub(crate) fn wake_all_but(&self, polling: Role) {
        self.link.shared.wake_all_but(Some(polling));
    }

    /// Removes the waker of a role that does not wait any more.
    #[inline]
    pub(crate) fn deregister(&self, role: Role) {
        self.link.shared.deregister(role);
    }

    /// Returns a waker that wakes the tasks of all roles.
    pub(crate) fn waker(&self) -> Waker {
        self.link.shared.waker()
    }

    /// Returns whether a connection came or went since [`clear_changed`](Self::clear_changed).
    #[inline]
    pub(crate) fn has_changed(&self) -> bool {
        self.link.shared.flags.any(CHANGED)
    }

    /// Returns whether there is no change, and no command, to process.
    #[inline]
    pub(crate) fn is_unchanged(&self) -> bool {
        !self.link.shared.flags.any(CHANGED | COMMANDS)
    }

    pub(crate) fn clear_changed(&self) {
        self.link.shared.flags.clear(CHANGED);
    }

    /// Returns the last loss, which may have been replaced by a connection.
    pub(crate) fn last_loss(&self) -> Option<ConnectionLost> {
        self.link.last_loss()
    }

    pub(crate) fn gave_up(&self) -> Option<&GaveUp> {
        self.link.gave_up()
    }

    /// Returns an error if nothing can be sent any more.
    pub(crate) fn check_open(&self) -> io::Result<()> {
        if let Some(gave_up) = self.gave_up() {
            return Err(gave_up.clone().into());
        }
        if self.link.is_closed() || self.is_shutting_down() {
            return Err(closed(ErrorKind::BrokenPipe));
        }
        Ok(())
    }

    /// Returns true once the shutdown of the connection has begun: no connection is replaced. A
    /// close of messages is still false while it sends.
    pub(crate) fn is_shutting_down(&self) -> bool {
        self.link.shared.flags.any(SHUTTING_DOWN)
    }

    /// Returns true once the connection has been shut down.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.link.shared.flags.any(SHUT_DOWN)
    }

    pub(crate) fn state(&self) -> State {
        self.link.state()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.link.generation()
    }

    pub(crate) fn handle(&self) -> Handle {
        self.link.handle()
    }

    pub(crate) fn policy(&self) -> &Policy {
        self.link.policy()
    }

    pub(crate) fn seam(&self) -> Seam {
        self.link.seam()
    }

    pub(crate) fn get_ref(&self) -> Option<&C::Io> {
        self.link.get_ref()
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut C::Io> {
        self.link.get_mut()
    }

    /// Returns the connection, if there is one.
    #[inline]
    pub(crate) fn connection(self: Pin<&mut Self>) -> Option<Pin<&mut C::Io>> {
        self.project().link.connection()
    }

    pub(crate) fn into_inner(self) -> Option<C::Io> {
        self.link.into_inner()
    }
}
