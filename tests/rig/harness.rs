//! Everything outside of the client, and what the oracle knows.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use reconnecting_stream::{ConfirmHandle, Eof, Handle};
use tokio::time::Instant;

use super::connection::Connection;
use super::hook::{Act, Hook, Op, When};
use super::random::Random;
use super::reading::Reading;
use super::run::trace;
use super::sending::Sending;
use super::settings::{Offline, Settings, Stats};
use super::socket::Socket;

/// How long a read waits without a byte, in histories with an idle timeout.
pub const IDLE: Duration = Duration::from_millis(25);

pub struct Harness {
    pub settings: Settings,
    pub random: Random,
    pub connections: Vec<Connection>,
    /// Which connection each generation has.
    pub generations: Vec<usize>,
    /// Polls of the client so far.
    pub epoch: u64,
    pub sending: Sending,
    pub reading: Reading,
    pub hooks: Vec<Hook>,
    pub stats: Stats,
    /// Attempts succeed, and connections stay.
    pub is_healthy: bool,
    pub is_closing: bool,
    pub is_killed: bool,
    pub began: Instant,
    pub commands: u64,
    /// Writes after an end that was there are checked: not if another thread brings it.
    pub checks_epochs: bool,
    pub transient_met: usize,
    /// A write has failed, and the sink has not answered so yet: it waits for that.
    pub has_write_error: bool,
    /// The last bytes that were read, and written: the connection, where they begin, how many.
    pub last_read: (usize, usize, usize),
    pub last_write: (usize, usize, usize),
    /// No byte has arrived, and no connection was made, since then.
    pub silent_since: Option<Instant>,
    /// The epoch in which a byte arrived last.
    pub last_arrival: u64,
    /// Bytes, not messages: a dead connection is not even read.
    pub is_of_bytes: bool,
    /// the classifier has said that trying again can't help, and nothing has followed yet.
    pub is_permanent: bool,
    /// It has said so of a shutdown.
    pub shutdown_is_permanent: bool,
    /// The observer may panic.
    pub observer_panics: bool,
    /// What passes of attempts, and was not told yet.
    pub transient_attempts: usize,
    /// The epoch in which a connection was lost by what can't be decoded.
    pub undecoded: Option<u64>,
    /// The encoder failed or panicked, and the sink has not answered so yet.
    pub refusals_due: usize,
    pub panics_due: usize,
    violation: Option<String>,
}

pub struct Rig {
    harness: Mutex<Harness>,
    pub handle: OnceLock<Handle>,
    pub confirmations: OnceLock<ConfirmHandle>,
}

impl Rig {
    pub fn new(settings: Settings, random: Random) -> Arc<Self> {
        Arc::new(Self {
            harness: Mutex::new(Harness::new(settings, random)),
            handle: OnceLock::new(),
            confirmations: OnceLock::new(),
        })
    }

    pub fn harness(&self) -> MutexGuard<'_, Harness> {
        self.harness.lock().unwrap()
    }

    pub fn accept(self: &Arc<Self>, generation: u64) -> Socket {
        let connection = self.harness().accept(generation);
        Socket::new(Arc::clone(self), connection)
    }
}

impl Harness {
    fn new(settings: Settings, random: Random) -> Self {
        Self {
            settings,
            random,
            connections: Vec::new(),
            generations: Vec::new(),
            epoch: 1,
            sending: Sending::new(
                settings.resend,
                settings.offline == Offline::DropOldest || !settings.keeps_unsent,
            ),
            reading: Reading::new(settings.seam, settings.max_unread),
            hooks: Vec::new(),
            stats: Stats::default(),
            is_healthy: false,
            is_closing: false,
            is_killed: false,
            began: Instant::now(),
            commands: 0,
            checks_epochs: true,
            transient_met: 0,
            has_write_error: false,
            last_read: (0, 0, 0),
            last_write: (0, 0, 0),
            silent_since: None,
            last_arrival: 0,
            is_of_bytes: false,
            is_permanent: false,
            shutdown_is_permanent: false,
            observer_panics: false,
            transient_attempts: 0,
            undecoded: None,
            refusals_due: 0,
            panics_due: 0,
            violation: None,
        }
    }

    pub fn fail(&mut self, why: impl Into<String>) {
        self.violation.get_or_insert_with(|| why.into());
    }

    pub fn check(&mut self, verdict: Result<(), String>) {
        if let Err(why) = verdict {
            self.fail(why);
        }
    }

    pub fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    pub fn ends_are_losses(&self) -> bool {
        self.settings.eof == Eof::Reconnect && !self.is_closing
    }

    /// The newest connection that the client has, if it is alive.
    pub fn live(&self) -> Option<&Connection> {
        let connection = &self.connections[*self.generations.last()?];
        connection.is_alive().then_some(connection)
    }

    /// Calls `classify` with the oracle of the reader and the connections by generation.
    pub fn check_reading(
        &mut self,
        classify: impl FnOnce(&mut Reading, &[&Connection]) -> Result<(), String>,
    ) {
        let connections: Vec<&Connection> = self
            .generations
            .iter()
            .map(|at| &self.connections[*at])
            .collect();
        let passes = |connection: &&&Connection| connection.fin;
        self.reading.passes |=
            self.settings.eof == Eof::Pass && connections.last().filter(passes).is_some();
        self.reading.note_unread(&connections);
        let verdict = classify(&mut self.reading, &connections);
        self.check(verdict);
    }

    pub fn reader_has_all(&self) -> bool {
        let connections: Vec<&Connection> = self
            .generations
            .iter()
            .map(|at| &self.connections[*at])
            .collect();
        self.reading.is_complete(&connections)
    }

    pub fn check_sending(&mut self, connection: usize) {
        let verdict = self.sending.classify(&mut self.connections[connection]);
        self.check(verdict);
    }

    fn accept(&mut self, generation: u64) -> usize {
        let mut connection = Connection::new(self.settings.habits, generation);
        connection.frames.backlog = self.sending.accepted.len();
        connection.frames.confirmed_before = self.sending.confirmed;
        if self.is_healthy {
            connection.habits.room = usize::MAX;
        } else {
            connection.habits.room = self
                .settings
                .habits
                .room
                .saturating_add(self.random.below(60));
            self.greet(&mut connection);
        }
        self.stats.connections += 1;
        self.connections.push(connection);
        self.connections.len() - 1
    }

    fn greet(&mut self, connection: &mut Connection) {
        for _ in 0..self.random.below(self.settings.banner + 1) {
            let _ = connection.send_items(1 + u8::from(self.random.one_in(3)), 3, None, 0);
        }
        if !self.settings.faulty_attempts {
            return;
        }
        match self.random.below(12) {
            0 => drop(connection.finish(self.epoch - 1)),
            1 => drop(connection.reset(self.epoch - 1)),
            2 => connection.transient_read = Some(super::classify::TRANSIENT_READ),
            _ => {}
        }
    }

    /// The client says that it is connected: with the newest connection of this generation.
    pub fn install(&mut self, generation: u64) {
        let expected = self.generations.len() as u64 + 1;
        let at = self
            .connections
            .iter()
            .rposition(|connection| connection.generation == generation);
        let Some(at) = at.filter(|_| generation == expected) else {
            return self.fail(format!("generation: {generation} instead of {expected}"));
        };
        trace(|| format!("    connection {at} installed as {generation}"));
        self.silent_since = Some(Instant::now());
        self.connections[at].is_installed = true;
        // What the handshake has met, and has not minded, the client has not met.
        self.connections[at].noticed = false;
        self.generations.push(at);
        self.reading.begin(generation);
        self.check_reading(|_, _| Ok(()));
    }

    /// From now on the network is well.
    pub fn make_healthy(&mut self) {
        self.is_healthy = true;
        self.hooks.clear();
    }

    pub fn take_hook(&mut self, op: Op, when: When) -> Option<Act> {
        let at = self
            .hooks
            .iter()
            .position(|hook| hook.op == op && hook.when == when)?;
        if self.hooks[at].skip > 0 {
            self.hooks[at].skip -= 1;
            return None;
        }
        Some(self.hooks.remove(at).act)
    }
}
