//! What is left of the sessions of a server that have ended.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::time::Instant;

use super::options::Limits;
use super::protocol::{SessionId, Tombstone};

/// The tombstones of a server, each for its lifetime.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    by_id: HashMap<SessionId, Entry>,
    /// When which one is removed, the oldest first.
    expiries: VecDeque<(Instant, SessionId)>,
}

#[derive(Debug)]
struct Entry {
    tombstone: Tombstone,
    /// The hash of the identity that began the session. The map's keys are random, so that no peer
    /// can choose another identity of this hash.
    identity: u64,
}

/// A tombstone costs about 110 bytes: no more than so many for each session that may live.
const PER_SESSION: usize = 8;

impl Tombstones {
    /// Returns the tombstone of a session of this identity.
    pub(super) fn get_mut(
        &mut self,
        id: SessionId,
        identity: Option<&[u8]>,
    ) -> Option<&mut Tombstone> {
        let identity = self.by_id.hasher().hash_one(identity);
        let entry = self.by_id.get_mut(&id)?;
        (entry.identity == identity).then_some(&mut entry.tombstone)
    }

    pub(super) fn insert(
        &mut self,
        (id, identity): (SessionId, Option<&[u8]>),
        tombstone: Tombstone,
        now: Instant,
        limits: &Limits,
    ) {
        if let Some(expiry) = now.checked_add(limits.tombstone_lifetime) {
            let identity = self.by_id.hasher().hash_one(identity);
            let entry = Entry {
                tombstone,
                identity,
            };
            self.by_id.insert(id, entry);
            self.expiries.push_back((expiry, id));
        }
        if self.by_id.len() > PER_SESSION.saturating_mul(limits.sessions) {
            self.remove_oldest();
        }
    }

    /// Removes those whose lifetime is over, and frees the memory if none is left.
    pub(super) fn remove_old(&mut self, now: Instant) {
        while self.expiries.front().is_some_and(|(at, _)| *at <= now) {
            self.remove_oldest();
        }
        if self.by_id.is_empty() {
            *self = Self::default();
        }
    }

    fn remove_oldest(&mut self) {
        if let Some((_, id)) = self.expiries.pop_front() {
            self.by_id.remove(&id);
        }
    }
}
