//! Whether anything may have arrived since the sink's side looked.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::sync::{AtomicBool, Ordering};

/// Spares a sink the look at the reading side while there is nothing to see.
///
/// A look that has found nothing, a reader's or a sink's, has left its waker with the connection,
/// and whatever comes wakes it: until then a second look would find nothing either. That does not
/// hold once somebody has read by hand, since the connection remembers only the last waker it was
/// given.
#[derive(Debug)]
pub(super) struct Lookout {
    watch: Arc<Watch>,
    /// Wakes `watch`.
    waker: Waker,
}

#[derive(Debug)]
struct Watch {
    /// The last look has found nothing, and its waker has not been woken.
    is_quiet: AtomicBool,
    /// A look takes the place of a reader that waits, so that one is woken as well.
    everyone: Waker,
}

impl Lookout {
    pub(super) fn new(everyone: Waker) -> Self {
        let watch = Arc::new(Watch {
            is_quiet: AtomicBool::new(false),
            everyone,
        });
        Self {
            waker: Waker::from(Arc::clone(&watch)),
            watch,
        }
    }

    #[inline]
    pub(super) fn is_quiet(&self) -> bool {
        self.watch.is_quiet.load(Ordering::Acquire)
    }

    /// Looks. What comes after it wakes everyone, and so does what it has found.
    pub(super) fn look<T>(&self, read: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        // First: what comes while it looks has to leave its mark.
        self.watch.is_quiet.store(true, Ordering::Release);
        let found = read(&mut Context::from_waker(&self.waker));
        if found.is_ready() {
            self.disturb();
        }
        found
    }

    /// The last look does not count any more.
    #[inline]
    pub(super) fn disturb(&self) {
        if self.is_quiet() {
            self.watch.is_quiet.store(false, Ordering::Release);
        }
    }

    pub(super) fn wake_everyone(&self) {
        self.watch.everyone.wake_by_ref();
    }
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_quiet.store(false, Ordering::Release);
        self.everyone.wake_by_ref();
    }
}
