//! The table of a server's sessions, with their limits.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, Semaphore};

use super::options::SessionOptions;
use super::protocol::{Reason, Reject, Resume, Resumed, SessionId, Tombstone, reject_unknown};
use super::report;
use super::room::Full;
use super::shared::Session;
use super::timer::now;
use super::tombstones::Tombstones;

/// The sessions of a server: those that live, and what is left of those that have ended.
///
/// A session's lock may be taken under the table's, never the other way round.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) options: SessionOptions,
    pub(super) handshakes: Semaphore,
    state: Mutex<TableState>,
    /// Notified when a session has ended, and when new ones are refused.
    changed: Notify,
}

#[derive(Debug, Default)]
pub(super) struct TableState {
    pub(super) live: HashMap<SessionId, Entry>,
    /// Those of them that no application has got, the oldest first.
    pub(super) unconfirmed: BTreeSet<(Instant, SessionId)>,
    tombstones: Tombstones,
    /// How many live sessions an identity has.
    pub(super) identities: HashMap<Box<[u8]>, usize>,
    /// The shares of all live sessions, in bytes.
    pub(super) reserved: usize,
    pub(super) refuses_new: bool,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) session: Arc<Session>,
    pub(super) identity: Option<Box<[u8]>>,
    share: usize,
    begun: Instant,
}

/// What is known of a session that a client wants to resume.
pub(super) enum Found {
    Live(Arc<Session>),
    /// The answer, from its tombstone or because there is none.
    Ended(Result<Resumed, Reject>),
}

impl Table {
    pub(super) fn new(options: SessionOptions) -> Self {
        let handshakes = options.limits().handshakes;
        Self {
            options,
            handshakes: Semaphore::new(handshakes.min(Semaphore::MAX_PERMITS)),
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, TableState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        let mut state = self.lock();
        state.tombstones.remove_old(now());
        state.live.len() - state.unconfirmed.len()
    }

    /// Reserves what a session needs, and inserts it, in one step (R14). `make` is given its share
    /// of the memory.
    pub(super) fn insert(
        &self,
        id: SessionId,
        identity: Option<Box<[u8]>>,
        make: impl FnOnce(usize) -> Arc<Session>,
    ) -> Result<Arc<Session>, Full> {
        let mut evicted = Vec::new();
        let mut state = self.lock();
        let reserved = state.reserve(&self.options, identity.as_deref(), &mut evicted);
        let inserted = reserved.map(|share| {
            let session = make(share);
            let entry = Entry {
                session: Arc::clone(&session),
                identity,
                share,
                begun: now(),
            };
            state.unconfirmed.insert((entry.begun, id));
            state.live.insert(id, entry);
            session
        });
        drop(state);
        for_each(&evicted, Session::wake_all);
        inserted
    }

    /// Looks a session up. A session of another identity looks like one that is not known.
    pub(super) fn find(&self, resume: &Resume, identity: Option<&[u8]>) -> Found {
        let mut state = self.lock();
        state.tombstones.remove_old(now());
        if let Some(entry) = state.live.get(&resume.id) {
            if entry.identity.as_deref() == identity {
                return Found::Live(Arc::clone(&entry.session));
            }
        }
        let answer = match state.tombstones.get_mut(resume.id, identity) {
            Some(tombstone) => tombstone.handle_resume(resume),
            None => Err(reject_unknown(resume)),
        };
        Found::Ended(answer)
    }

    /// An application has got the session.
    pub(super) fn on_accepted(&self, session: &Session) {
        let id = session.lock().id();
        let state = &mut *self.lock();
        if let Some(entry) = state.live.get(&id) {
            state.unconfirmed.remove(&(entry.begun, id));
        }
    }

    /// Replaces a session that has ended by its tombstone.
    pub(super) fn remove(&self, session: &Session) {
        let (id, tombstone) = {
            let inner = session.lock();
            (inner.id(), inner.tombstone())
        };
        let removed = {
            let mut state = self.lock();
            state.remove(id, tombstone, now(), &self.options)
        };
        // Without the lock: the last reference to a session may be this one.
        drop(removed);
        self.changed.notify_waiters();
    }

    /// Refuses new sessions, and ends those that no application has got.
    pub(super) fn refuse_new(&self) {
        self.lock().refuses_new = true;
        self.changed.notify_waiters();
        self.abort_all(|session| !session.lock().was_accepted);
    }

    pub(super) fn abort_all(&self, is_meant: impl Fn(&Session) -> bool) {
        let mut sessions: Vec<_> = {
            let state = self.lock();
            let sessions = state.live.values();
            sessions.map(|entry| Arc::clone(&entry.session)).collect()
        };
        sessions.retain(|session| is_meant(session));
        for_each(&sessions, |session| session.abort(Reason::Closed, None));
    }

    /// Completes when there is no session.
    pub(super) async fn drained(&self) {
        self.wait_until(|state| state.live.is_empty()).await;
    }

    #[cfg(feature = "net")]
    pub(super) fn refuses_new(&self) -> bool {
        self.lock().refuses_new
    }

    /// Completes when new sessions are refused.
    #[cfg(feature = "net")]
    pub(super) async fn shut_down(&self) {
        self.wait_until(|state| state.refuses_new).await;
    }

    async fn wait_until(&self, is_so: impl Fn(&TableState) -> bool) {
        let mut changed = std::pin::pin!(self.changed.notified());
        loop {
            // Registered before the look.
            changed.as_mut().enable();
            if is_so(&self.lock()) {
                return;
            }
            changed.as_mut().await;
            changed.set(self.changed.notified());
        }
    }
}

/// Calls `f`, which wakes tasks, for each of the sessions. A waker is foreign code: its panic takes
/// nothing from the other sessions, nor from the one for which they are woken.
fn for_each(sessions: &[Arc<Session>], f: impl Fn(&Session)) {
    for session in sessions {
        if catch_unwind(AssertUnwindSafe(|| f(session))).is_err() {
            // A subscriber is foreign code as well.
            let _ = catch_unwind(report::panicked);
        }
    }
}

impl TableState {
    /// Removes a live session, and gives back what it had reserved.
    pub(super) fn remove(
        &mut self,
        id: SessionId,
        tombstone: Option<Tombstone>,
        now: Instant,
        options: &SessionOptions,
    ) -> Option<Entry> {
        let entry = self.live.remove(&id)?;
        self.unconfirmed.remove(&(entry.begun, id));
        self.reserved -= entry.share;
        if let Some(identity) = &entry.identity {
            if let Some(count) = self.identities.get_mut(identity) {
                *count -= 1;
                if *count == 0 {
                    self.identities.remove(identity);
                }
            }
        }
        if let Some(tombstone) = tombstone {
            let key = (id, entry.identity.as_deref());
            self.tombstones
                .insert(key, tombstone, now, &options.limits());
        }
        self.tombstones.remove_old(now);
        Some(entry)
    }
}
