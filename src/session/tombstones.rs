//! What is left of the sessions of a server that have ended.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::time::Instant;

use super::options::Limits;
use super::protocol::{Outcome, Reason, SessionId, Tombstone};
use super::shared::{End, Inner};

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

impl Inner {
    /// Returns what an acceptor keeps of this session, which has ended.
    ///
    /// Of a provisional one it keeps nothing (R13). One that a shutdown has closed is the exception:
    /// its client may have the WELCOME, and no HELLO follows to make more of them.
    pub(super) fn tombstone(&self) -> Option<Tombstone> {
        match &self.end {
            End::Acceptor(acceptor) => {
                let is_closed = self.core().outcome() == Some(Outcome::Lost(Reason::Closed));
                let is_kept = self.was_accepted || is_closed;
                acceptor.tombstone().filter(|_| is_kept)
            }
            End::Dialer(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::protocol::{Acceptor, Hello, Options, Secret};
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(5);

    fn id(number: u8) -> SessionId {
        SessionId([number; 16])
    }

    fn limits(tombstone_lifetime: Duration) -> Limits {
        Limits {
            handshakes: 1,
            sessions: 1,
            sessions_per_identity: 1,
            memory: 1,
            tombstone_lifetime,
        }
    }

    fn tombstone(id: SessionId, now: Instant) -> Tombstone {
        let hello = Hello {
            limit: 1,
            metadata: Vec::new(),
        };
        let credentials = (id, Secret([0; 32]));
        let mut acceptor = Acceptor::new(now, Options::default(), &hello, credentials);
        acceptor.core.abort(Reason::Closed, Reason::Closed);
        acceptor.tombstone().unwrap()
    }

    /// Tombstones of these sessions, which have no identity.
    fn of(ids: std::ops::RangeInclusive<u8>, now: Instant) -> Tombstones {
        let mut tombstones = Tombstones::default();
        for id in ids.map(id) {
            tombstones.insert((id, None), tombstone(id, now), now, &limits(LIFETIME));
        }
        tombstones
    }

    #[test]
    fn a_tombstone_is_there_until_its_lifetime_is_over() {
        let now = Instant::now();
        let mut tombstones = of(1..=2, now);
        let later = now + LIFETIME;
        let third = (id(3), None);
        tombstones.insert(third, tombstone(id(3), now), later, &limits(LIFETIME));
        tombstones.remove_old(later - Duration::from_nanos(1));
        assert!(
            [1, 2, 3]
                .iter()
                .all(|n| tombstones.get_mut(id(*n), None).is_some())
        );
        tombstones.remove_old(later);
        assert!(tombstones.get_mut(id(1), None).is_none());
        assert!(tombstones.get_mut(id(2), None).is_none());
        assert!(tombstones.get_mut(id(3), None).is_some());
        tombstones.remove_old(later + LIFETIME);
        assert_eq!(tombstones.by_id.capacity(), 0, "no memory is kept");
        assert_eq!(tombstones.expiries.capacity(), 0);
    }

    #[test]
    fn there_are_eight_for_each_session_and_the_oldest_makes_room() {
        let mut tombstones = of(1..=8, Instant::now());
        assert!(tombstones.get_mut(id(1), None).is_some());
        let mut more = of(1..=9, Instant::now());
        assert!(more.get_mut(id(1), None).is_none());
        assert!(more.get_mut(id(2), None).is_some());
        assert_eq!((more.by_id.len(), more.expiries.len()), (8, 8));
    }

    #[test]
    fn a_tombstone_is_only_for_the_identity_that_began_its_session() {
        let now = Instant::now();
        let mut tombstones = Tombstones::default();
        let limits = limits(LIFETIME);
        for (number, identity) in [(1, None), (2, Some(&b"me"[..]))] {
            let tombstone = tombstone(id(number), now);
            tombstones.insert((id(number), identity), tombstone, now, &limits);
        }
        assert!(tombstones.get_mut(id(1), None).is_some());
        assert!(tombstones.get_mut(id(1), Some(b"me")).is_none());
        assert!(tombstones.get_mut(id(2), Some(b"me")).is_some());
        assert!(tombstones.get_mut(id(2), Some(b"you")).is_none());
        assert!(tombstones.get_mut(id(2), None).is_none());
    }
}
