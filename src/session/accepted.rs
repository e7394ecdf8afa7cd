//! The server's end: its connections are those that resume the session.

use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::driver::Connections;
use super::protocol::Reason;
use super::report;
use super::shared::Session;
use super::table::Table;
use super::timer::{RoundTime, now};
use super::transport::Connection;
use crate::link::{
    Command, Event, Handle, Registrations, Role, SharedGuard, State, reconnect_requested,
};

/// The connections of a server's end of a session.
#[derive(Debug)]
pub(super) struct AcceptedConnections {
    table: Arc<Table>,
    connection: Option<Connection>,
    /// The number of the current connection, or of the last one.
    generation: u64,
    /// When the current connection was accepted, or the last one lost.
    since: Instant,
    /// The client has a handshake's time to confirm its session on this connection (R13). Otherwise
    /// the connection is dropped, and the session stays for its time to live: the client may have
    /// accepted bytes for it.
    is_limited: bool,
    shared: SharedGuard,
    registrations: Registrations,
}

impl AcceptedConnections {
    pub(super) fn new(table: Arc<Table>, connection: Connection, shared: SharedGuard) -> Self {
        Self {
            table,
            connection: Some(connection),
            generation: 1,
            since: now(),
            is_limited: true,
            shared,
            registrations: Registrations::default(),
        }
    }

    pub(super) fn handle(&self) -> Handle {
        Handle::new(self.shared.share(), self.state())
    }

    fn state(&self) -> State {
        match self.connection {
            Some(_) => State::Connected {
                generation: self.generation,
            },
            None => State::Detached,
        }
    }

    /// Replaces the connection by one that has resumed the session.
    fn take_incoming(&mut self, session: &Session) {
        let Some(incoming) = session.take_incoming() else {
            return;
        };
        self.is_limited = !session.lock().was_accepted;
        let waited = self.restart_clock();
        // The old connection is dropped without waiting for it (R5).
        let is_replacement = self.take_connection();
        self.connection = Some(incoming);
        let lost = is_replacement.then(|| lost(self.generation, replaced(), waited));
        let downtime = match lost {
            Some(_) => Duration::ZERO,
            None => waited,
        };
        self.generation = self.generation.saturating_add(1);
        let connected = Event::Connected {
            generation: self.generation,
            attempts: 0,
            downtime,
        };
        let events: Vec<_> = lost.into_iter().chain([connected]).collect();
        self.shared.publish(self.state(), &events);
    }

    fn execute(&mut self, command: Command, session: &Session, now: Instant) {
        match command {
            Command::Close => session.abort(Reason::Closed, None),
            Command::Reconnect => self.detach(session, now, reconnect_requested()),
            Command::Lose(generation, cause) if generation == self.generation => {
                self.detach(session, now, cause);
            }
            Command::Lose(..) => {}
        }
    }

    fn detach(&mut self, session: &Session, now: Instant, cause: io::Error) {
        session.update(|inner| inner.detach(now));
        self.drop_connection(cause);
    }

    fn drop_connection(&mut self, cause: io::Error) {
        if self.take_connection() {
            self.is_limited = false;
            let uptime = self.restart_clock();
            let lost = lost(self.generation, cause, uptime);
            self.shared.publish(self.state(), &[lost]);
        }
    }

    /// Drops the connection. Returns whether there was one.
    ///
    /// A connection is foreign code. A panic of its drop takes nothing from the session.
    fn take_connection(&mut self) -> bool {
        let Some(connection) = self.connection.take() else {
            return false;
        };
        if catch_unwind(AssertUnwindSafe(|| drop(connection))).is_err() {
            report::panicked();
        }
        true
    }

    /// Returns the time since the last change.
    fn restart_clock(&mut self) -> Duration {
        let now = now();
        now.saturating_duration_since(mem::replace(&mut self.since, now))
    }

    fn confirmed_until(&self) -> Option<Instant> {
        let limit = self.table.options.handshake_limit();
        self.is_limited.then(|| self.since.checked_add(limit))?
    }
}

fn lost(generation: u64, cause: io::Error, uptime: Duration) -> Event {
    Event::Lost {
        generation,
        cause: Arc::new(cause),
        uptime,
    }
}

fn replaced() -> io::Error {
    let reason = "the client has resumed the session on another connection";
    io::Error::new(io::ErrorKind::ConnectionAborted, reason)
}

fn unconfirmed() -> io::Error {
    let reason = "the client has not confirmed the session in time";
    io::Error::new(io::ErrorKind::TimedOut, reason)
}

impl Connections for AcceptedConnections {
    fn execute_commands(&mut self, cx: &mut Context<'_>, session: &Session, now: &RoundTime) {
        let registrations = &mut self.registrations;
        if registrations.register_and_check(&self.shared, Role::Read, cx.waker(), || false) {
            while let Some(command) = self.shared.take_command() {
                self.execute(command, session, now.get());
            }
        }
        // It reads the clock only until the session is confirmed.
        self.is_limited = self.is_limited && !session.lock().was_accepted;
        if self.confirmed_until().is_some_and(|at| at <= now.get()) {
            self.is_limited = false;
            self.detach(session, now.get(), unconfirmed());
        }
    }

    fn poll_connection(&mut self, session: &Session) -> Poll<Option<&mut Connection>> {
        self.take_incoming(session);
        match &mut self.connection {
            Some(connection) => Poll::Ready(Some(connection)),
            None => Poll::Pending,
        }
    }

    fn has_connection(&self) -> bool {
        self.connection.is_some()
    }

    fn lose(&mut self, session: &Session, cause: io::Error) {
        // A connection that was replaced fails as well.
        let is_replaced = session.lock().incoming.is_some();
        self.drop_connection(if is_replaced { replaced() } else { cause });
    }

    fn timeout(&self) -> Option<Instant> {
        self.confirmed_until()
    }

    fn end(&mut self, session: &Session) {
        // Before the connection is dropped, which may panic.
        self.table.remove(session);
        self.shared.publish(State::Closed, &[Event::Closed {}]);
        self.connection = None;
    }
}
