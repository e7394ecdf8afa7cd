//! Whether there is room for one more session, and which others are evicted for it.

use std::sync::Arc;

use super::options::{Limits, MIN_SHARE, SessionOptions};
use super::protocol::{Reason, Tombstone};
use super::shared::{End, Inner, Session};
use super::table::{Entry, TableState};
use super::timer::now;

/// Why there is no room for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The server shuts down.
    Closed,
    /// There may be room later.
    Busy(&'static str),
}

/// Which sessions without a connection may be evicted.
#[derive(Clone, Copy, Debug)]
enum Victims<'a> {
    All,
    /// Those that no application has got, of this identity if it is one: their clients have lost the
    /// answer, as a rule, and have begun another session.
    Unconfirmed(Option<&'a [u8]>),
}

impl Victims<'_> {
    fn include(self, entry: &Entry, was_accepted: bool) -> bool {
        match self {
            Self::All => true,
            Self::Unconfirmed(identity) => {
                let is_of_it = identity.is_none() || entry.identity.as_deref() == identity;
                is_of_it && !was_accepted
            }
        }
    }
}

impl TableState {
    /// Reserves a place and a share of the memory. Sessions that are evicted for it are to be woken.
    pub(super) fn reserve(
        &mut self,
        options: &SessionOptions,
        identity: Option<&[u8]>,
        evicted: &mut Vec<Arc<Session>>,
    ) -> Result<usize, Full> {
        let limits = &options.limits();
        if self.refuses_new {
            return Err(Full::Closed);
        }
        let full = options.full_share();
        let least = full.min(MIN_SHARE);
        while let Some((why, victims)) = self.is_full(limits, identity, least) {
            let session = self.evict(options, victims).ok_or(Full::Busy(why))?;
            evicted.push(session);
        }
        // What the sessions that may still come need at least is set aside. Of the rest, the last part
        // is given out in smaller and smaller shares.
        let free = limits.memory.saturating_sub(self.reserved);
        let others = limits.sessions - self.live.len() - 1;
        let spare = free.saturating_sub(others.saturating_mul(least));
        let share = full.min(least.max(spare / 16));
        self.reserved += share;
        if let Some(identity) = identity {
            *self.identities.entry(identity.into()).or_insert(0) += 1;
        }
        Ok(share)
    }

    /// Returns why there is no room for a session, and which ones may be evicted for it.
    fn is_full<'a>(
        &self,
        limits: &Limits,
        identity: Option<&'a [u8]>,
        least: usize,
    ) -> Option<(&'static str, Victims<'a>)> {
        if self.live.len() >= limits.sessions {
            return Some(("there are too many sessions", Victims::Unconfirmed(None)));
        }
        let of_identity = identity.and_then(|identity| self.identities.get(identity));
        if of_identity.is_some_and(|count| *count >= limits.sessions_per_identity) {
            let why = "there are too many sessions of this identity";
            return Some((why, Victims::Unconfirmed(identity)));
        }
        let is_used_up = limits.memory.saturating_sub(self.reserved) < least;
        is_used_up.then_some(("the memory for sessions is used up", Victims::All))
    }

    /// Ends a session that has no connection: one that its client has not confirmed, if there is one,
    /// and then the one that has been without a connection for the longest time.
    fn evict(&mut self, options: &SessionOptions, victims: Victims<'_>) -> Option<Arc<Session>> {
        loop {
            let sessions = self.live.iter().filter_map(|(id, entry)| {
                let inner = entry.session.lock();
                let expires_at = inner.core().expires_at()?;
                let is_victim = victims.include(entry, inner.was_accepted);
                is_victim.then_some((inner.was_accepted, expires_at, *id))
            });
            let (.., id) = sessions.min()?;
            let session = Arc::clone(&self.live.get(&id)?.session);
            let evicted = session.lock().evict();
            if let Some(tombstone) = evicted {
                drop(self.remove(id, Some(tombstone), now(), options));
                return Some(session);
            }
            // It was resumed in the meantime, so that it is no candidate any more.
        }
    }
}

impl Inner {
    /// Ends the session, unless it has a connection.
    fn evict(&mut self) -> Option<Tombstone> {
        self.core().expires_at()?;
        self.abort(Reason::Evicted, None);
        match &self.end {
            End::Acceptor(acceptor) => acceptor.tombstone(),
            End::Dialer(_) => None,
        }
    }
}
