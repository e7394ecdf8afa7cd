//! Who waits for the link, and the one waker that wakes them all.

use std::sync::PoisonError;
use std::task::Waker;

use crate::sync::Mutex;

/// Who polls. Each has a waker of its own, since each may be another task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Read,
    Write,
    /// Waits for a connection without using it.
    Watch,
}

/// One waker for each role.
///
/// A timer or an attempt is polled by whoever comes along, and remembers only the last waker it
/// was given. That task may be gone when it fires. So it is given a waker that wakes everyone
/// remembered here.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    /// A waker is here from the moment its role was told `Pending` until it is woken.
    waiting: Mutex<Waiting>,
}

type Waiting = [Option<Waker>; 3];

impl Wakers {
    /// To be called before the caller looks at what it may have to wait for, so that a change
    /// after that look wakes it.
    pub(crate) fn remember(&self, role: Role, waker: &Waker) {
        let known = self.with(|waiting| match &waiting[role as usize] {
            Some(known) => known.will_wake(waker),
            None => false,
        });
        if !known {
            self.replace(role, waker);
        }
    }

    #[cold]
    fn replace(&self, role: Role, waker: &Waker) {
        // Cloned and dropped outside of the lock: a waker is someone else's code.
        let new = Some(waker.clone());
        let old = self.with(|waiting| std::mem::replace(&mut waiting[role as usize], new));
        drop(old);
    }

    /// To be called by whoever polls before it makes a change and goes on: it need not be woken
    /// by what it does itself.
    pub(crate) fn forget(&self, role: Role) {
        let old = self.with(|waiting| waiting[role as usize].take());
        drop(old);
    }

    pub(crate) fn wake_all(&self) {
        self.take().into_iter().flatten().for_each(Waker::wake);
    }

    pub(crate) fn forget_all(&self) {
        drop(self.take());
    }

    fn take(&self) -> Waiting {
        self.with(std::mem::take)
    }

    #[inline]
    fn with<T>(&self, f: impl FnOnce(&mut Waiting) -> T) -> T {
        f(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
