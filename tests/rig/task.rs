//! A task that is polled by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Polls with a new waker each time. Only the latest one counts, as the contract of a future
/// says, and a `Pending` that neither kept nor woke it is reported.
#[derive(Default)]
pub struct Task {
    latest: Option<Arc<Ticket>>,
    polls: u64,
}

struct Ticket {
    is_woken: AtomicBool,
    /// The thread that polls: it may be parked.
    thread: Thread,
}

impl Wake for Ticket {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// A `Pending` whose waker was neither kept nor woken.
#[derive(Debug)]
pub struct WakerWasDropped;

impl Task {
    /// Polls once.
    pub fn poll<T>(
        &mut self,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Result<Poll<T>, WakerWasDropped> {
        let ticket = Arc::new(Ticket {
            is_woken: AtomicBool::new(false),
            thread: thread::current(),
        });
        self.polls += 1;
        let waker = Waker::from(Arc::clone(&ticket));
        let polled = poll(&mut Context::from_waker(&waker));
        drop(waker);
        if polled.is_ready() {
            self.latest = None;
            return Ok(polled);
        }
        let is_kept = Arc::strong_count(&ticket) > 1;
        let is_woken = ticket.is_woken.load(Ordering::SeqCst);
        self.latest = Some(ticket);
        if is_kept || is_woken {
            Ok(polled)
        } else {
            Err(WakerWasDropped)
        }
    }

    /// Returns whether the waker of the latest poll was woken.
    pub fn is_woken(&self) -> bool {
        let latest = self.latest.as_ref();
        latest.is_some_and(|ticket| ticket.is_woken.load(Ordering::SeqCst))
    }

    /// Forgets the latest poll, as dropping its future does.
    pub fn cancel(&mut self) {
        self.latest = None;
    }

    pub const fn polls(&self) -> u64 {
        self.polls
    }
}
