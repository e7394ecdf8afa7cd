//! What the owner of a link shares with its handles and its wakers.

use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};

use tokio::sync::watch;

use super::State;
use super::wakers::{Role, Wakers};
use crate::sync::{AtomicU8, Ordering};

/// What a handle asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Close,
    Reconnect,
}

/// Reasons to look around before the connection is used. While there are none, and a
/// connection, a poll does nothing but use it.
#[derive(Debug, Default)]
pub(super) struct Signals(AtomicU8);

const CLOSE: u8 = 1;
const RECONNECT: u8 = 1 << 1;
const COMMANDS: u8 = CLOSE | RECONNECT;
/// The reader has not heard of the last loss yet.
const READ_NEWS: u8 = 1 << 2;
/// Neither has the writer.
const WRITE_NEWS: u8 = 1 << 3;
/// The idle timer is running.
const IDLE: u8 = 1 << 4;
/// The user has begun to shut down: no reconnect ever after.
const FINISHING: u8 = 1 << 5;
/// The connection has been shut down.
const FINISHED: u8 = 1 << 6;

impl Signals {
    /// Whether this role can use the connection without looking around.
    #[inline]
    pub(super) fn are_quiet(&self, role: Role) -> bool {
        let reasons = match role {
            Role::Read => COMMANDS | READ_NEWS | IDLE,
            Role::Write => COMMANDS | WRITE_NEWS | FINISHING,
            Role::Watch => COMMANDS,
        };
        !self.has(reasons)
    }

    pub(super) fn command(&self, command: Command) {
        self.raise(match command {
            Command::Close => CLOSE,
            Command::Reconnect => RECONNECT,
        });
    }

    /// The pending command; closing wins.
    pub(super) fn take_command(&self) -> Option<Command> {
        match self.clear(COMMANDS) {
            0 => None,
            both if both & CLOSE != 0 => Some(Command::Close),
            _ => Some(Command::Reconnect),
        }
    }

    #[inline]
    pub(super) fn has_command(&self) -> bool {
        self.has(COMMANDS)
    }

    pub(super) fn raise_news(&self) {
        self.raise(READ_NEWS | WRITE_NEWS);
    }

    pub(super) fn has_news(&self, role: Role) -> bool {
        self.has(news_of(role))
    }

    pub(super) fn take_news(&self, role: Role) -> bool {
        self.clear(news_of(role)) != 0
    }

    pub(super) fn start_idling(&self) {
        self.raise(IDLE);
    }

    pub(super) fn is_idling(&self) -> bool {
        self.has(IDLE)
    }

    pub(super) fn stop_idling(&self) {
        self.clear(IDLE);
    }

    pub(super) fn start_finishing(&self) {
        self.raise(FINISHING);
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.has(FINISHING)
    }

    pub(super) fn finish(&self) {
        self.raise(FINISHED);
    }

    pub(super) fn is_finished(&self) -> bool {
        self.has(FINISHED)
    }

    /// A command is raised before the wake, and looked for after the waker was remembered; the
    /// lock around the wakers orders the two.
    #[inline]
    fn has(&self, bits: u8) -> bool {
        self.0.load(Ordering::Acquire) & bits != 0
    }

    fn raise(&self, bits: u8) {
        self.0.fetch_or(bits, Ordering::AcqRel);
    }

    /// Which of them were up.
    fn clear(&self, bits: u8) -> u8 {
        if self.has(bits) {
            self.0.fetch_and(!bits, Ordering::AcqRel) & bits
        } else {
            0
        }
    }
}

const fn news_of(role: Role) -> u8 {
    match role {
        Role::Read => READ_NEWS,
        Role::Write => WRITE_NEWS,
        Role::Watch => 0,
    }
}

/// Shared by the link, its handles, and the waker that timers and attempts get.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) signals: Signals,
    pub(super) wakers: Wakers,
    /// Made for the first handle: most streams have none.
    state: OnceLock<watch::Sender<State>>,
}

impl Shared {
    /// Asks the link, and wakes whoever polls it.
    pub(super) fn command(&self, command: Command) {
        self.signals.command(command);
        self.wakers.wake_all();
    }

    pub(super) fn publish(&self, state: State) {
        if let Some(watch) = self.state.get() {
            watch.send_replace(state);
        }
    }

    pub(super) fn watch(&self, state: impl FnOnce() -> State) -> &watch::Sender<State> {
        self.state.get_or_init(|| watch::Sender::new(state()))
    }
}

/// Wakes everyone who waits for the link.
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wakers.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wakers.wake_all();
    }
}

/// The link's own reference. When it goes, the handles see the link closed.
#[derive(Debug, Default)]
pub(super) struct Owner(Arc<Shared>);

impl Owner {
    /// A reference for a handle.
    pub(super) fn share(&self) -> Arc<Shared> {
        Arc::clone(&self.0)
    }

    /// A waker that wakes every role.
    pub(super) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }
}

impl std::ops::Deref for Owner {
    type Target = Shared;

    #[inline]
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.publish(State::Closed);
        self.wakers.forget_all();
    }
}
