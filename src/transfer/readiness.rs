//! Which directions of a connection may be ready.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use crate::sync::{AtomicBool, Ordering};

/// The waker with which a connection is polled in both directions, whichever task polls, and what
/// it remembers: a direction that returned `Pending` is not ready until the waker is woken.
///
/// A connection keeps one waker for each direction, the last one that it was given. If each half
/// polled with a waker of its own, a half that polls the other's direction would replace its
/// waker. This one wakes the tasks of all halves. It marks both directions as ready, because a
/// connection may read in order to write, as TLS does.
///
/// `tests/wakers_loom.rs` model-checks this file.
#[derive(Debug)]
pub(crate) struct Readiness {
    shared: Arc<Directions>,
    waker: Waker,
}

#[derive(Debug)]
struct Directions {
    read: Direction,
    write: Direction,
    /// Wakes the tasks of all halves.
    tasks: Waker,
}

/// Whether one direction may be ready.
#[derive(Debug, Default)]
pub(crate) struct Direction(AtomicBool);

impl Readiness {
    /// `tasks` wakes the tasks of all halves.
    pub(crate) fn new(tasks: Waker) -> Self {
        let shared = Arc::new(Directions {
            read: Direction::default(),
            write: Direction::default(),
            tasks,
        });
        Self {
            waker: Waker::from(Arc::clone(&shared)),
            shared,
        }
    }

    #[inline]
    pub(crate) fn read(&self) -> &Direction {
        &self.shared.read
    }

    #[inline]
    pub(crate) fn write(&self) -> &Direction {
        &self.shared.write
    }

    /// Returns the context to poll the connection with.
    #[inline]
    pub(crate) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    /// Marks both directions as ready, because the connection is new or was used directly.
    #[inline]
    pub(crate) fn set(&self) {
        self.shared.set();
    }
}

impl Direction {
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Call this before polling the direction: a wake-up during the poll has to leave its mark.
    #[inline]
    pub(crate) fn clear(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Call this after a poll of the direction that was ready.
    #[inline]
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Directions {
    fn set(&self) {
        self.read.set();
        self.write.set();
    }
}

impl Wake for Directions {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.set();
        self.tasks.wake_by_ref();
    }
}
