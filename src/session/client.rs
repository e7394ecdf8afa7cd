//! The client's end: a link whose connector ends with the handshake of the session.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use super::driver::Connections;
use super::error::SessionLost;
use super::protocol::{Answered, Reason};
use super::shared::{End, Session};
use super::timer::{RoundTime, now};
use super::transport::{BoxTransport, Connection, broken, read_handshake, write_handshake};
use crate::connect::BoxConnector;
use crate::error::Permanent;
use crate::link::{AfterLoss, Command, Handle, Link, Role, Unavailable};

/// The handshake of a client, which is the last step of an attempt.
pub(super) async fn handshake(
    mut io: BoxTransport,
    session: Arc<Session>,
) -> io::Result<Connection> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce)?;
    let dial = session.update(|inner| match &mut inner.end {
        End::Dialer(dialer) => Ok(dialer.dial(now(), nonce)),
        End::Acceptor(_) => Err(io::Error::from(ErrorKind::Unsupported)),
    })?;
    write_handshake(&mut io, &dial.message).await?;
    let (answer, early) = read_handshake(&mut io).await?;
    let answered = session.update(|inner| match &mut inner.end {
        End::Dialer(dialer) => dialer.handle_answer(now(), &dial, &answer).map_err(broken),
        End::Acceptor(_) => Err(io::Error::from(ErrorKind::Unsupported)),
    })?;
    match answered {
        Answered::Attached(epoch) => Ok(Connection::new(io, epoch, early)),
        // The driver finds the session complete, and closes the connection.
        Answered::Complete => {
            let epoch = session.lock().core().epoch();
            Ok(Connection::new(io, epoch.unwrap_or(0), Vec::new()))
        }
        Answered::Busy { retry_after } => {
            let retry_after = Duration::from_millis(retry_after.into());
            session.lock().busy_until = now().checked_add(retry_after);
            let message = format!("the server is busy, and asks to retry after {retry_after:?}");
            Err(io::Error::new(ErrorKind::ResourceBusy, message))
        }
        Answered::Lost(reason) => {
            let lost = session.lock().lost();
            let lost = lost.unwrap_or_else(|| SessionLost::new(reason, 0, None));
            Err(Permanent::new(io::Error::from(lost)).into())
        }
    }
}

/// The connections of a client.
pub(super) struct Dialing {
    link: Pin<Box<Link<BoxConnector<Connection>>>>,
}

impl Dialing {
    pub(super) fn new(link: Link<BoxConnector<Connection>>) -> Self {
        Self {
            link: Box::pin(link),
        }
    }

    pub(super) fn handle(&self) -> Handle {
        self.link.handle()
    }

    /// Drives the link to its first connection, and waits for as long as the server asks for.
    pub(super) async fn connect(&mut self, session: &Session) -> io::Result<()> {
        loop {
            let connected = poll_fn(|cx| self.poll_first(cx, session)).await;
            if let Some(connected) = connected {
                return connected.map_err(into_error);
            }
            let busy_until = session.lock().busy_until;
            if let Some(busy_until) = busy_until {
                sleep_until(busy_until.into()).await;
            }
        }
    }

    /// Polls the link for its first connection. `None`: the server has asked to wait.
    fn poll_first(
        &mut self,
        cx: &mut Context<'_>,
        session: &Session,
    ) -> Poll<Option<Result<(), Unavailable>>> {
        if self.is_busy(session, now()) {
            return Poll::Ready(None);
        }
        let link = self.link.as_mut();
        link.register_and_check(Role::Read, cx.waker(), || false);
        self.link.as_mut().poll_connected(Role::Read).map(Some)
    }

    /// Returns whether the server has asked to wait. The link gives up if its policy does not allow
    /// that.
    fn is_busy(&mut self, session: &Session, now: Instant) -> bool {
        let busy_until = session.lock().busy_after(now);
        let Some(until) = busy_until else {
            return false;
        };
        self.link.as_mut().give_up_before(Some(Role::Read), until);
        self.link.gave_up().is_none()
    }

    fn execute(&mut self, command: Command, session: &Session, now: Instant) {
        let role = Some(Role::Read);
        match command {
            Command::Close => {
                session.abort(Reason::Closed, None);
                // A backoff or an attempt is canceled.
                if self.link.get_ref().is_none() {
                    self.link.as_mut().close(role);
                }
            }
            Command::Reconnect => {
                session.update(|inner| inner.core_mut().detach(now));
                self.link.as_mut().reconnect(role);
            }
            Command::Lose(generation, cause) => {
                if self.link.get_ref().is_some() && self.link.generation() == generation {
                    session.update(|inner| inner.core_mut().detach(now));
                    self.link.as_mut().lose(role, cause, AfterLoss::Retry);
                }
            }
        }
    }
}

fn into_error(unavailable: Unavailable) -> io::Error {
    match unavailable {
        Unavailable::Surfaced(error) => error,
        Unavailable::GaveUp(gave_up) => gave_up.into(),
        Unavailable::Closed => ErrorKind::NotConnected.into(),
    }
}

impl Connections for Dialing {
    fn execute_commands(&mut self, cx: &mut Context<'_>, session: &Session, now: &RoundTime) {
        self.link
            .as_mut()
            .register_and_check(Role::Read, cx.waker(), || false);
        while let Some(command) = self.link.shared.take_command() {
            self.execute(command, session, now.get());
        }
    }

    fn poll_connection(
        &mut self,
        _cx: &mut Context<'_>,
        session: &Session,
        now: &RoundTime,
    ) -> Poll<Option<&mut Connection>> {
        if self.link.get_ref().is_none() && self.is_busy(session, now.get()) {
            return Poll::Pending;
        }
        let unavailable = loop {
            match self.link.as_mut().poll_connected(Role::Read) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => return Poll::Ready(self.link.as_mut().get_mut().get_mut()),
                // The outage continues at the next poll.
                Poll::Ready(Err(Unavailable::Surfaced(_))) => {}
                Poll::Ready(Err(unavailable)) => break unavailable,
            }
        };
        let source = match unavailable {
            Unavailable::GaveUp(gave_up) => Some(Arc::new(gave_up.into())),
            Unavailable::Closed | Unavailable::Surfaced(_) => None,
        };
        session.abort(Reason::Expired, source);
        Poll::Ready(None)
    }

    fn has_connection(&self) -> bool {
        self.link.get_ref().is_some()
    }

    fn lose(&mut self, _session: &Session, cause: io::Error) {
        self.link
            .as_mut()
            .lose(Some(Role::Read), cause, AfterLoss::Retry);
    }

    fn timeout(&self, session: &Session) -> Option<Instant> {
        match self.has_connection() {
            true => None,
            false => session.lock().busy_until,
        }
    }

    fn end(&mut self, _session: &Session) {
        if self.link.gave_up().is_none() {
            self.link.as_mut().close(Some(Role::Read));
        }
    }
}

impl fmt::Debug for Dialing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialing").finish_non_exhaustive()
    }
}
