//! The server's end: its connections are those that resume the session.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::driver::Connections;
use super::protocol::Reason;
use super::shared::Session;
use super::table::Table;
use super::timer::{RoundTime, now};
use super::transport::Connection;
use crate::link::{Command, Handle, Registrations, Role, SharedGuard, State};

/// The connections of a server's end of a session.
#[derive(Debug)]
pub(super) struct AcceptedConnections {
    table: Arc<Table>,
    connection: Option<Connection>,
    /// The number of the current connection, or of the last one.
    generation: u64,
    shared: SharedGuard,
    registrations: Registrations,
    /// When a connection is dropped whose client has not confirmed its session (R13). The session
    /// stays for its time to live: the client may have accepted bytes for it.
    confirmed_until: Option<Instant>,
}

impl AcceptedConnections {
    pub(super) fn new(table: Arc<Table>, connection: Connection, shared: SharedGuard) -> Self {
        let mut connections = Self {
            table,
            connection: Some(connection),
            generation: 1,
            shared,
            registrations: Registrations::default(),
            confirmed_until: None,
        };
        connections.limit_confirmation();
        connections
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
        let incoming = session.take_incoming();
        if incoming.is_some() {
            if !session.lock().was_accepted {
                self.limit_confirmation();
            }
            // The old connection is dropped without waiting for it (R5).
            self.connection = incoming;
            self.generation = self.generation.saturating_add(1);
            self.shared.publish(self.state(), &[]);
        }
    }

    /// Gives the client a handshake's time to confirm its session on the current connection.
    fn limit_confirmation(&mut self) {
        let limit = self.table.options.handshake_limit();
        self.confirmed_until = now().checked_add(limit);
    }

    fn detach(&mut self, session: &Session, now: Instant) {
        session.update(|inner| {
            if inner.incoming.is_none() {
                inner.core_mut().detach(now);
            }
        });
        self.drop_connection();
    }

    fn drop_connection(&mut self) {
        self.connection = None;
        self.shared.publish(self.state(), &[]);
    }
}

impl Connections for AcceptedConnections {
    fn execute_commands(&mut self, cx: &mut Context<'_>, session: &Session, now: &RoundTime) {
        let registrations = &mut self.registrations;
        registrations.register_and_check(&self.shared, Role::Read, cx.waker(), || false);
        while let Some(command) = self.shared.take_command() {
            match command {
                Command::Close => session.abort(Reason::Closed, None),
                Command::Reconnect => self.detach(session, now.get()),
                Command::Lose(generation, _) if generation == self.generation => {
                    self.detach(session, now.get());
                }
                Command::Lose(..) => {}
            }
        }
        if self.confirmed_until.is_some_and(|at| at <= now.get()) {
            self.confirmed_until = None;
            let is_provisional = !session.lock().was_accepted;
            if is_provisional {
                self.detach(session, now.get());
            }
        }
    }

    fn poll_connection(
        &mut self,
        _cx: &mut Context<'_>,
        session: &Session,
        _now: &RoundTime,
    ) -> Poll<Option<&mut Connection>> {
        self.take_incoming(session);
        match &mut self.connection {
            Some(connection) => Poll::Ready(Some(connection)),
            None => Poll::Pending,
        }
    }

    fn has_connection(&self) -> bool {
        self.connection.is_some()
    }

    fn lose(&mut self, _cause: io::Error) {
        self.drop_connection();
    }

    fn timeout(&self, _session: &Session) -> Option<Instant> {
        self.confirmed_until
    }

    fn end(&mut self, session: &Session) {
        // Before the connection is dropped, which may panic.
        self.table.remove(session);
        self.shared.publish(State::Closed, &[]);
        self.connection = None;
    }
}
