//! Wakers that panic.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use super::*;

/// A task whose executor panics.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("of a waker, as the test wants it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_leaves_no_other_task_waiting() {
    let servers = Servers::default();
    servers.answer([Answer::After(SECOND)]);
    let database = builder(&servers).lazy().shared();
    let (first, last) = (Task::new(), Task::new());
    let panics = Waker::from(Arc::new(Panics));
    let mut gets = [(); 3].map(|()| Box::pin(database.get()));
    for _ in 0..2 {
        assert!(first.poll_future(gets[0].as_mut()).is_pending());
    }
    let cx = &mut Context::from_waker(&panics);
    assert!(gets[1].as_mut().poll(cx).is_pending());
    assert!(last.poll_future(gets[2].as_mut()).is_pending());
    first.take_wakes();
    last.take_wakes();
    let closed = std::panic::catch_unwind(AssertUnwindSafe(|| database.handle().close()));
    assert!(closed.is_err(), "the panic is not hidden");
    assert!(first.is_woken() && last.is_woken());
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_while_a_poll_unwinds_does_not_end_the_process() {
    let panics_now = Arc::new(AtomicUsize::new(0));
    let flag = Arc::clone(&panics_now);
    let connector = move || {
        let flag = Arc::clone(&flag);
        poll_fn(move |_| {
            let panics = flag.load(Ordering::SeqCst) > 0;
            assert!(!panics, "of a connector, as the test wants it");
            Poll::<io::Result<Client>>::Pending
        })
    };
    let database = Reconnecting::builder(connector).lazy().shared();
    let (first, mut gets) = (Task::new(), [(); 2].map(|()| Box::pin(database.get())));
    for _ in 0..2 {
        assert!(first.poll_future(gets[0].as_mut()).is_pending());
    }
    let panics = Waker::from(Arc::new(Panics));
    let cx = &mut Context::from_waker(&panics);
    assert!(gets[1].as_mut().poll(cx).is_pending());
    panics_now.store(1, Ordering::SeqCst);
    let polled = std::panic::catch_unwind(AssertUnwindSafe(|| {
        first.poll_future(gets[0].as_mut()).is_ready()
    }));
    assert!(polled.is_err());
}
