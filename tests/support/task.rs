use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A stand-in for a task: polls with a waker of its own, and checks at every poll that a
/// `Pending` kept that waker or woke it.
#[derive(Clone, Default)]
pub struct Task {
    wakes: Arc<Wakes>,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Task {
    pub fn new() -> Self {
        Self::default()
    }

    /// Polls. `Pending` whose waker was neither kept nor woken fails the test.
    pub fn poll<T>(&self, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.take_wakes();
        // A waker that no one else has, so that keeping it can be told from having kept it.
        let link = Arc::new(Link(Arc::clone(&self.wakes)));
        let waker = Waker::from(Arc::clone(&link));
        let polled = poll(&mut Context::from_waker(&waker));
        drop(waker);
        let kept = Arc::strong_count(&link) > 1;
        assert!(
            polled.is_ready() || kept || self.is_woken(),
            "Pending, and the waker was neither kept nor woken"
        );
        polled
    }

    pub fn poll_future<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        self.poll(|cx| future.poll(cx))
    }

    pub fn is_woken(&self) -> bool {
        self.wakes.0.load(Ordering::SeqCst) > 0
    }

    /// How often it was woken since the last poll or the last call of this.
    pub fn take_wakes(&self) -> usize {
        self.wakes.0.swap(0, Ordering::SeqCst)
    }
}

struct Link(Arc<Wakes>);

impl Wake for Link {
    fn wake(self: Arc<Self>) {
        Arc::clone(&self.0).wake();
    }
}
