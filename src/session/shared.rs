//! What the application's end, the driver and the server share of one session.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Instant;

use tokio::sync::Notify;

use super::error::SessionLost;
use super::protocol::{Acceptor, Core, Dialer, Outcome, Reason, SessionId};
use super::rate::Rate;
use super::transport::Connection;
use super::waiting::Waits;
use crate::link::Handle;

/// One session: its protocol core, and who waits for it.
///
/// The application's polls touch the buffers, and the [driver](super::driver) moves them. Nothing
/// holds the lock across an await, and nothing but the connection's own reads and writes run under it.
#[derive(Debug)]
pub(super) struct Session {
    inner: Mutex<Inner>,
    /// Notified when bytes were acknowledged, when the peer has sent its first frame, when a
    /// connection comes or goes, and when the session has ended.
    pub(super) changed: Notify,
    pub(super) metadata: Box<[u8]>,
    /// There may be an incoming connection. Set under the lock.
    has_incoming: AtomicBool,
    handle: OnceLock<Handle>,
}

/// The protocol's end of a session.
#[derive(Debug)]
pub(super) enum End {
    Dialer(Dialer),
    Acceptor(Acceptor),
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) end: End,
    /// The task that waits for bytes, or for their end.
    pub(super) reader: Option<Waker>,
    /// The task that waits for room, a flush or a shutdown.
    pub(super) writer: Option<(Waker, Waits)>,
    /// The driver, while it waits for the application.
    pub(super) driver: Option<Waker>,
    /// How many calls wait for [`Session::changed`]. It is not notified if there are none.
    pub(super) watchers: usize,
    /// The connection takes no more bytes now. It wakes the driver itself.
    pub(super) is_blocked: bool,
    /// A connection that has resumed the session, until the driver takes it.
    pub(super) incoming: Option<Connection>,
    /// The driver is gone: no connection will follow.
    pub(super) is_over: bool,
    /// The halves that the application has.
    pub(super) owners: u8,
    /// The error that ended the session at this end.
    pub(super) source: Option<Arc<io::Error>>,
    /// The acceptor's application has got its stream. Until then the session is provisional (R13).
    pub(super) was_accepted: bool,
    pub(super) resumes: Rate,
}

impl End {
    pub(super) fn core(&self) -> &Core {
        match self {
            Self::Dialer(dialer) => &dialer.core,
            Self::Acceptor(acceptor) => &acceptor.core,
        }
    }

    pub(super) fn core_mut(&mut self) -> &mut Core {
        match self {
            Self::Dialer(dialer) => &mut dialer.core,
            Self::Acceptor(acceptor) => &mut acceptor.core,
        }
    }
}

impl Session {
    pub(super) fn new(end: End, metadata: &[u8]) -> Self {
        Self {
            inner: Mutex::new(Inner {
                end,
                reader: None,
                writer: None,
                driver: None,
                watchers: 0,
                is_blocked: false,
                incoming: None,
                is_over: false,
                owners: 0,
                source: None,
                was_accepted: false,
                resumes: Rate::default(),
            }),
            handle: OnceLock::new(),
            changed: Notify::new(),
            metadata: metadata.into(),
            has_incoming: AtomicBool::new(false),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `f` under the lock, then wakes the tasks that can go on.
    pub(super) fn update<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let before = (inner.watchers > 0).then(|| inner.progress());
        let result = f(&mut inner);
        let is_awaited = before.is_some_and(|before| inner.progress() != before);
        let woken = inner.take_ready();
        drop(inner);
        if is_awaited {
            self.changed.notify_waiters();
        }
        drop(woken);
        result
    }

    /// Passes a connection that has resumed the session to the driver. Returns the one that it
    /// replaces.
    pub(super) fn put_incoming(&self, inner: &mut Inner, new: Connection) -> Option<Connection> {
        self.has_incoming.store(true, Ordering::Release);
        inner.incoming.replace(new)
    }

    /// Takes the connection that has resumed the session. The driver, which asks for it in every
    /// round, takes no lock if there is none.
    pub(super) fn take_incoming(&self) -> Option<Connection> {
        if !self.has_incoming.load(Ordering::Acquire) {
            return None;
        }
        let mut inner = self.lock();
        self.has_incoming.store(false, Ordering::Release);
        inner.incoming.take()
    }

    /// Ends the session for a reason of this end, and wakes all tasks that wait.
    pub(super) fn abort(&self, reason: Reason, source: Option<Arc<io::Error>>) {
        let _driver = self.update(|inner| {
            inner.abort(reason, source);
            inner.take_driver()
        });
    }

    /// Sets the handle of the session, before there is an application.
    pub(super) fn set_handle(&self, handle: Handle) {
        // It is set once.
        let _ = self.handle.set(handle);
    }

    pub(super) fn handle(&self) -> Option<Handle> {
        self.handle.get().cloned()
    }

    /// Wakes all tasks that wait, after a change under a lock that allowed no foreign code.
    pub(super) fn wake_all(&self) {
        let mut inner = self.lock();
        let _woken = (inner.take_driver(), inner.take_ready());
        drop(inner);
        self.changed.notify_waiters();
    }
}

impl Inner {
    pub(super) fn core(&self) -> &Core {
        self.end.core()
    }

    pub(super) fn core_mut(&mut self) -> &mut Core {
        self.end.core_mut()
    }

    pub(super) fn id(&self) -> SessionId {
        match &self.end {
            End::Dialer(dialer) => dialer.id().unwrap_or(SessionId::NIL),
            End::Acceptor(acceptor) => acceptor.id(),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.core().outcome().is_some()
    }

    /// Returns whether the connection of this epoch is the session's. The last one of a session that
    /// has ended is, too.
    pub(super) fn is_current(&self, epoch: u64) -> bool {
        match self.core().epoch() {
            Some(current) => current == epoch,
            None => self.has_ended() && self.incoming.is_none(),
        }
    }

    /// Returns the error of a session that is lost.
    pub(super) fn lost(&self) -> Option<SessionLost> {
        match self.core().outcome()? {
            Outcome::Complete => None,
            Outcome::Lost(reason) => {
                let unacknowledged = self.core().unacknowledged() as u64;
                Some(SessionLost::new(
                    reason,
                    unacknowledged,
                    self.source.clone(),
                ))
            }
        }
    }

    /// Ends the connection, unless another one has resumed the session already.
    pub(super) fn detach(&mut self, now: Instant) {
        if self.incoming.is_none() {
            self.core_mut().detach(now);
        }
    }

    pub(super) fn abort(&mut self, reason: Reason, source: Option<Arc<io::Error>>) {
        if !self.has_ended() {
            self.source = source;
            self.core_mut().abort(reason, reason);
        }
    }

    /// What [`Session::changed`] tells.
    fn progress(&self) -> (u64, bool, bool, bool) {
        let core = self.core();
        let is_attached = core.epoch().is_some();
        let acknowledged = core.send().acknowledged();
        (
            acknowledged,
            core.is_confirmed(),
            is_attached,
            self.has_ended(),
        )
    }
}
