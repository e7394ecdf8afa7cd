//! The lock of a value that many tasks poll.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use crate::link::wake_each;
use crate::sync::{AtomicU32, Mutex, MutexGuard, Ordering};

/// A value that many tasks poll, one at a time.
///
/// No thread waits for the lock: a task that finds another one in a poll returns `Pending`. The value
/// gets a waker that wakes every waiting task, since each of them can continue when another one is
/// cancelled. A panic of a poll leaves the lock free, and wakes the others.
pub(super) struct PollLock<T> {
    locked: Mutex<Locked<T>>,
    /// Executes what was requested.
    execute: fn(&mut T),
    /// Whether a task has found the lock taken, and the number of requests.
    marks: AtomicU32,
    waiters: Arc<Waiters>,
}

/// What is under the lock.
struct Locked<T> {
    value: T,
    /// The number of requests when the last one was executed.
    executed: u32,
}

const CONTENDED: u32 = 1;
/// One request in the marks. Their number may wrap around.
const REQUEST: u32 = 2;

/// The tasks that wait, by the number of their ticket.
#[derive(Default)]
struct Waiters(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    tickets: u64,
    waiting: BTreeMap<u64, Waiting>,
}

struct Waiting {
    waker: Waker,
    /// It has found the lock taken. Only these tasks are woken when a poll is over that was
    /// `Pending`: if it woke them all, tasks that run at the same time would wake each other for as
    /// long as there is no connection.
    has_collided: bool,
}

/// The place of one task among those that wait. It is given back when it is dropped.
pub(super) struct Ticket {
    waiters: Arc<Waiters>,
    number: u64,
}

/// The lock, while it is taken.
struct Guard<'a, T> {
    lock: &'a PollLock<T>,
    /// `None` only within `drop`.
    locked: Option<MutexGuard<'a, Locked<T>>>,
    /// The poll has changed nothing that the other tasks wait for.
    is_pending: bool,
}

impl<T> PollLock<T> {
    /// `execute` does what was [requested](Self::request).
    pub(super) fn new(value: T, execute: fn(&mut T)) -> Self {
        Self {
            locked: Mutex::new(Locked { value, executed: 0 }),
            execute,
            marks: AtomicU32::new(0),
            waiters: Arc::default(),
        }
    }

    /// Returns a ticket for a task that polls.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket {
            number: self.waiters.next_ticket(),
            waiters: Arc::clone(&self.waiters),
        }
    }

    /// Runs a poll. `Pending` if another task is in one.
    pub(super) fn poll<R>(
        &self,
        ticket: &Ticket,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut T, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        ticket.register(cx.waker());
        let Some(mut guard) = self.try_lock_or_mark(ticket) else {
            return Poll::Pending;
        };
        let waker = Waker::from(Arc::clone(&self.waiters));
        let polled = match &mut guard.locked {
            Some(locked) => poll(&mut locked.value, &mut Context::from_waker(&waker)),
            None => Poll::Pending,
        };
        guard.is_pending = polled.is_pending();
        if polled.is_ready() {
            ticket.deregister();
        }
        polled
    }

    /// Executes what was requested, now or when the task that has the lock has freed it.
    pub(super) fn request(&self) {
        self.marks.fetch_add(REQUEST, Ordering::AcqRel);
        self.execute_requests();
    }

    /// Executes what was requested, unless another task has the lock, which calls this when it has
    /// freed it.
    fn execute_requests(&self) {
        let Some(mut guard) = self.try_lock() else {
            return;
        };
        let requests = self.marks.load(Ordering::Acquire) & !CONTENDED;
        match &mut guard.locked {
            Some(locked) if locked.executed != requests => {
                locked.executed = requests;
                (self.execute)(&mut locked.value);
            }
            _ => guard.is_pending = true,
        }
    }

    /// Marks a taken lock, and tries again: the task that has it either sees the mark after it has
    /// freed the lock, or had freed it before.
    fn try_lock_or_mark(&self, ticket: &Ticket) -> Option<Guard<'_, T>> {
        self.try_lock().or_else(|| {
            ticket.mark(true);
            self.marks.fetch_or(CONTENDED, Ordering::AcqRel);
            let guard = self.try_lock()?;
            ticket.mark(false);
            Some(guard)
        })
    }

    fn try_lock(&self) -> Option<Guard<'_, T>> {
        let locked = match self.locked.try_lock() {
            Ok(locked) => locked,
            // The value is consistent after a panic.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Guard {
            lock: self,
            locked: Some(locked),
            is_pending: false,
        })
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // First free the lock, then wake.
        let locked = self.locked.take();
        let executed = locked.as_ref().map(|locked| locked.executed);
        drop(locked);
        // Not a plain load, which may miss a mark that was made before the lock was freed.
        let marks = self.lock.marks.fetch_and(!CONTENDED, Ordering::AcqRel);
        if !self.is_pending {
            self.lock.waiters.wake_all();
        } else if marks & CONTENDED != 0 {
            self.lock.waiters.wake_collided();
        }
        // It may panic. After a panic the next one that frees the lock executes them.
        if executed != Some(marks & !CONTENDED) && !thread::panicking() {
            self.lock.execute_requests();
        }
    }
}

impl Ticket {
    fn register(&self, waker: &Waker) {
        let waiting = Waiting {
            waker: waker.clone(),
            has_collided: false,
        };
        let old = self.waiters.queue().waiting.insert(self.number, waiting);
        drop(old);
    }

    fn mark(&self, has_collided: bool) {
        // It is not there if it was woken in the meantime.
        if let Some(waiting) = self.waiters.queue().waiting.get_mut(&self.number) {
            waiting.has_collided = has_collided;
        }
    }

    fn deregister(&self) {
        let old = self.waiters.queue().waiting.remove(&self.number);
        drop(old);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.deregister();
    }
}

impl Waiters {
    fn next_ticket(&self) -> u64 {
        let mut queue = self.queue();
        queue.tickets = queue.tickets.wrapping_add(1);
        queue.tickets
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        let woken = mem::take(&mut self.queue().waiting);
        // Outside of the lock: a waker is foreign code.
        wake_each(woken.into_values().map(|task| task.waker));
    }

    fn wake_collided(&self) {
        let collided: BTreeMap<_, _> = {
            let waiting = &mut self.queue().waiting;
            let all = mem::take(waiting).into_iter();
            let (collided, others) = all.partition(|(_, task)| task.has_collided);
            *waiting = others;
            collided
        };
        wake_each(collided.into_values().map(|task| task.waker));
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}
