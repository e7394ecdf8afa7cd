//! The lock between two halves of a stream.
//!
//! `tests/wakers_loom.rs` model-checks this file.

use std::fmt;
use std::sync::{PoisonError, TryLockError};
use std::task::{Context, Poll, Waker, ready};

use crate::link::wake_each;
use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

/// Which half polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Read,
    Write,
}

/// A value that two halves poll in turn.
///
/// No thread waits for the lock: a half that finds the other one in a poll returns `Pending`, and is
/// woken when that poll is over. So a poll may run foreign code that polls the other half. A panic
/// of a poll leaves the lock free, and the value as the poll left it.
pub(crate) struct HalfLock<T> {
    value: Mutex<T>,
    reader: Waiting,
    writer: Waiting,
}

/// A half that waits for the other one's poll to end.
#[derive(Default)]
struct Waiting {
    /// Set after the waker is in its slot.
    is_set: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// The lock, while it is taken. It wakes the other half once the lock is free.
struct Guard<'a, T> {
    /// `None` only within `drop`.
    value: Option<MutexGuard<'a, T>>,
    other: &'a Waiting,
}

impl<T> HalfLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: Mutex::new(value),
            reader: Waiting::default(),
            writer: Waiting::default(),
        }
    }

    /// Runs a poll of one half. `Pending` if the other half is in a poll.
    pub(crate) fn poll<R>(
        &self,
        half: Half,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut T, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        let mut guard = ready!(self.poll_lock(half, cx.waker()));
        match &mut guard.value {
            Some(value) => poll(value, cx),
            None => Poll::Pending,
        }
    }

    /// Returns a property of the value; `None` if a half is in a poll.
    pub(crate) fn try_with<R>(&self, half: Half, with: impl FnOnce(&T) -> R) -> Option<R> {
        let guard = self.try_lock(half)?;
        guard.value.as_deref().map(with)
    }

    /// Takes the value out.
    pub(crate) fn into_inner(self) -> T {
        let value = self.value.into_inner();
        value.unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn poll_lock(&self, half: Half, waker: &Waker) -> Poll<Guard<'_, T>> {
        self.try_lock(half)
            .map_or_else(|| self.poll_taken_lock(half, waker), Poll::Ready)
    }

    /// Registers the half, and tries again: the other half either sees the registration after it has
    /// freed the lock, or had freed it before.
    #[cold]
    fn poll_taken_lock(&self, half: Half, waker: &Waker) -> Poll<Guard<'_, T>> {
        let waiting = match half {
            Half::Read => &self.reader,
            Half::Write => &self.writer,
        };
        waiting.register(waker);
        let Some(guard) = self.try_lock(half) else {
            return Poll::Pending;
        };
        drop(waiting.take());
        Poll::Ready(guard)
    }

    #[inline]
    fn try_lock(&self, half: Half) -> Option<Guard<'_, T>> {
        let value = match self.value.try_lock() {
            Ok(value) => value,
            // The value is consistent after a panic: see the docs of the stream.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Guard {
            value: Some(value),
            other: match half {
                Half::Read => &self.writer,
                Half::Write => &self.reader,
            },
        })
    }
}

impl Waiting {
    fn register(&self, waker: &Waker) {
        let new = Some(waker.clone());
        let old = std::mem::replace(&mut *self.waker(), new);
        self.is_set.swap(true, Ordering::AcqRel);
        drop(old);
    }

    /// Takes the waker, if there is one. A swap, because a plain load may miss a registration that
    /// was made before the lock was freed.
    #[inline]
    fn take(&self) -> Option<Waker> {
        if self.is_set.swap(false, Ordering::AcqRel) {
            self.waker().take()
        } else {
            None
        }
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // First free the lock, then wake: the task may poll immediately.
        drop(self.value.take());
        if let Some(waker) = self.other.take() {
            wake_each(std::iter::once(waker));
        }
    }
}

impl<T> fmt::Debug for HalfLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HalfLock").finish_non_exhaustive()
    }
}
