//! The client's end: a link whose connector ends with the handshake of the session.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::driver::Connections;
use super::error::SessionLost;
use super::protocol::{Answered, Reason};
use super::shared::{End, Session};
use super::timer::{RoundTime, now};
use super::transport::{BoxTransport, Connection, broken, read_handshake, write_handshake};
use crate::connect::BoxConnector;
use crate::error::{Permanent, RetryAfter};
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
            Err(RetryAfter(Duration::from_millis(retry_after.into())).into())
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

    /// Drives the link to its first connection.
    pub(super) async fn connect(&mut self) -> io::Result<()> {
        let connected = poll_fn(|cx| {
            let link = self.link.as_mut();
            link.register_and_check(Role::Read, cx.waker(), || false);
            self.link.as_mut().poll_connected(Role::Read)
        });
        connected.await.map_err(into_error)
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
        let link = self.link.as_mut();
        if !link.register_and_check(Role::Read, cx.waker(), || false) {
            return;
        }
        while let Some(command) = self.link.shared.take_command() {
            self.execute(command, session, now.get());
        }
    }

    fn poll_connection(&mut self, session: &Session) -> Poll<Option<&mut Connection>> {
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

    fn timeout(&self) -> Option<Instant> {
        None
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
