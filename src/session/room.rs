//! Whether there is room for one more session, and which others are evicted for it.

use std::sync::Arc;

use super::options::{Limits, MIN_SHARE, SessionOptions};
use super::protocol::{Reason, SessionId, Tombstone};
use super::shared::{Inner, Session};
use super::table::TableState;
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

/// A session that is evicted: what it was, and what it leaves.
type Evicted = (SessionId, Option<Tombstone>);

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
        // The identity first: if it may have no more, no session of another one is evicted for it.
        let of_identity = identity.and_then(|identity| self.identities.get(identity));
        if of_identity.is_some_and(|count| *count >= limits.sessions_per_identity) {
            let why = "there are too many sessions of this identity";
            return Some((why, Victims::Unconfirmed(identity)));
        }
        if self.live.len() >= limits.sessions {
            return Some(("there are too many sessions", Victims::Unconfirmed(None)));
        }
        let is_used_up = limits.memory.saturating_sub(self.reserved) < least;
        is_used_up.then_some(("the memory for sessions is used up", Victims::All))
    }

    /// Ends a session that has no connection: the oldest one that its client has not confirmed, if
    /// there is one, and then the one that has been without a connection for the longest time.
    fn evict(&mut self, options: &SessionOptions, victims: Victims<'_>) -> Option<Arc<Session>> {
        let (id, tombstone) = match victims {
            Victims::Unconfirmed(identity) => self.evict_unconfirmed(identity),
            Victims::All => self
                .evict_unconfirmed(None)
                .or_else(|| self.evict_detached()),
        }?;
        let entry = self.remove(id, tombstone, now(), options)?;
        Some(entry.session)
    }

    /// Peers that say HELLO and nothing else bring a server to its limit of sessions. Each of their
    /// next HELLOs looks at few of them: the oldest ones have lost their connection.
    fn evict_unconfirmed(&self, identity: Option<&[u8]>) -> Option<Evicted> {
        let entries = self.unconfirmed.iter();
        let mut entries = entries.filter_map(|(_, id)| self.live.get(id));
        entries.find_map(|entry| {
            let is_of_it = identity.is_none() || entry.identity.as_deref() == identity;
            let mut inner = entry.session.lock();
            let is_victim = is_of_it && !inner.was_accepted;
            is_victim.then(|| inner.evict())?
        })
    }

    /// Looks at all sessions. The memory is used up only if it is less than the least share of as many
    /// sessions as there may be.
    fn evict_detached(&self) -> Option<Evicted> {
        loop {
            let sessions = self.live.iter().filter_map(|(id, entry)| {
                let expires_at = entry.session.lock().core().expires_at()?;
                Some((expires_at, *id))
            });
            let (_, id) = sessions.min()?;
            let evicted = self.live.get(&id)?.session.lock().evict();
            if evicted.is_some() {
                return evicted;
            }
            // It was resumed in the meantime, so that it is no candidate any more.
        }
    }
}

impl Inner {
    /// Ends the session, unless it has a connection.
    fn evict(&mut self) -> Option<Evicted> {
        self.core().expires_at()?;
        self.abort(Reason::Evicted, None);
        Some((self.id(), self.tombstone()))
    }
}
