//! The flags of a link.

use crate::sync::{AtomicU32, Ordering};

pub(super) const CLOSE: u32 = 1;
pub(super) const RECONNECT: u32 = 1 << 1;
pub(super) const MARK_LOST: u32 = 1 << 2;
pub(crate) const COMMANDS: u32 = CLOSE | RECONNECT | MARK_LOST;
/// The last loss was not reported to the reader.
pub(crate) const READ_LOSS: u32 = 1 << 3;
/// The last loss was not reported to the writer.
pub(crate) const WRITE_LOSS: u32 = 1 << 4;
/// A connection came or went, and the owner of the link has not processed that.
pub(crate) const CHANGED: u32 = 1 << 5;
/// The idle timer runs.
pub(crate) const IDLE: u32 = 1 << 6;
/// The user has begun to shut down: no connection is replaced from here on.
pub(crate) const SHUTTING_DOWN: u32 = 1 << 7;
/// The connection has been shut down.
pub(crate) const SHUT_DOWN: u32 = 1 << 8;
/// The reader's waker is in its slot; the writer's and the watcher's bits follow.
pub(super) const WAITING: u32 = 1 << 9;
pub(crate) const WRITER_WAITS: u32 = WAITING << 1;
pub(super) const ANY_WAITING: u32 = WAITING | WAITING << 1 | WAITING << 2;

/// Reasons to leave the fast path. While none is set, a poll goes straight to the connection.
///
/// Most bits belong to the owner of the link alone. They share one atomic with the commands of
/// other threads all the same, since the fast path then costs a single load.
#[derive(Debug, Default)]
pub(crate) struct Flags(AtomicU32);

impl Flags {
    /// Returns whether any of these flags is set.
    #[inline]
    pub(crate) fn any(&self, flags: u32) -> bool {
        self.0.load(Ordering::Acquire) & flags != 0
    }

    /// Returns all of them.
    #[inline]
    pub(super) fn load(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Sets these flags.
    pub(crate) fn set(&self, flags: u32) {
        self.0.fetch_or(flags, Ordering::AcqRel);
    }

    /// Clears these flags, and returns which of them were set.
    pub(crate) fn clear(&self, flags: u32) -> u32 {
        if self.any(flags) {
            self.0.fetch_and(!flags, Ordering::AcqRel) & flags
        } else {
            0
        }
    }
}
