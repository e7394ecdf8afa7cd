//! One client for many tasks.

use std::sync::Weak;

use reconnecting_stream::{Lease, SharedReconnecting};

use super::*;

type Shared = SharedReconnecting<Dialer>;

async fn shared(servers: &Servers) -> Shared {
    builder(servers).connect().await.unwrap().shared()
}

#[tokio::test(start_paused = true)]
async fn many_tasks_use_clones_of_one_client() {
    let servers = Servers::default();
    let database = builder(&servers).lazy().shared();
    let gets = futures::future::join_all((0..100).map(|_| database.get())).await;
    let leases: Vec<Lease<_>> = gets.into_iter().map(Result::unwrap).collect();
    assert!(
        leases
            .iter()
            .all(|lease| lease.generation() == 1 && *lease.0 == 1)
    );
    assert_eq!(leases[0].clones(), 101);
    assert_eq!(servers.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_of_many_reports_of_one_client_counts() {
    let servers = Servers::default();
    let database = shared(&servers).await;
    let mut events = database.handle().subscribe_events();
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(database.get().await.unwrap());
    }
    let late = leases.pop().unwrap();
    for lease in leases {
        lease.mark_lost(broken());
    }
    assert_eq!(late.clones(), 1, "the crate has dropped its own");
    let fresh = database.get().await.unwrap();
    assert_eq!(fresh.generation(), 2);
    late.mark_lost(io::Error::other("it was replaced"));
    assert_eq!(database.get().await.unwrap().generation(), 2);
    assert_eq!(fresh.clones(), 2);
    drop(database);
    drop(fresh);
    let mut causes = Vec::new();
    while let Some(event) = events.recv().await {
        if let Event::Lost { cause, .. } = event.unwrap() {
            causes.push(cause.to_string());
        }
    }
    assert_eq!(causes, [broken().to_string()]);
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_loss_is_reported_is_dropped_before_the_event() {
    let servers = Servers::default();
    let client = Arc::new(Mutex::new(Weak::<u64>::new()));
    let (observed, clones) = (Arc::clone(&client), Arc::new(Mutex::new(Vec::new())));
    let counts = Arc::clone(&clones);
    let builder = builder(&servers).on_event(move |event: &Event| {
        if let Event::Lost { .. } = event {
            counts
                .lock()
                .unwrap()
                .push(observed.lock().unwrap().strong_count());
        }
    });
    let database = builder.lazy().shared();
    let lease = database.get().await.unwrap();
    *client.lock().unwrap() = Arc::downgrade(&lease.0);
    lease.mark_lost(broken());
    assert_eq!(*clones.lock().unwrap(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_stops_to_poll_or_is_canceled_holds_up_no_other() {
    for is_canceled in [false, true] {
        let servers = Servers::default();
        servers.answer([
            Answer::Refuses(ErrorKind::ConnectionRefused),
            Answer::After(SECOND),
        ]);
        let database = builder(&servers).lazy().shared();
        let task = Task::new();
        let mut idle = Some(Box::pin(database.get()));
        let polled = task.poll_future(idle.as_mut().unwrap().as_mut());
        assert!(polled.is_pending());
        if is_canceled {
            idle = None;
        }
        let got = timeout(5 * SECOND, database.get()).await;
        assert_eq!(got.unwrap().unwrap().generation(), 1);
        if let Some(idle) = idle {
            assert!(task.is_woken());
            assert!(matches!(task.poll_future(pin!(idle)), Poll::Ready(Ok(_))));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_tasks_that_wait_get_the_end() {
    let servers = Servers::default();
    servers.answer([Answer::Refuses(ErrorKind::ConnectionRefused); 3]);
    let database = builder(&servers).lazy().shared();
    let gets = futures::future::join_all((0..10).map(|_| database.get())).await;
    for error in gets.into_iter().map(Result::unwrap_err) {
        assert!(gave_up(&error).is_some());
    }
    servers.answer([Answer::After(60 * SECOND)]);
    database.handle().reconnect();
    let waiting = futures::future::join_all((0..10).map(|_| database.get()));
    let closing = async {
        sleep(SECOND).await;
        database.handle().close();
    };
    let (ended, ()) = tokio::join!(waiting, closing);
    for error in ended.into_iter().map(Result::unwrap_err) {
        assert_eq!(error.kind(), ErrorKind::NotConnected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_connector_leaves_the_other_tasks_their_client() {
    let servers = Servers::default();
    servers.answer([Answer::Panics]);
    let database = builder(&servers).lazy().shared();
    let get = || AssertUnwindSafe(timeout(5 * SECOND, database.get())).catch_unwind();
    let (one, other) = tokio::join!(get(), get());
    let (mut panics, mut generations) = (0, Vec::new());
    for got in [one, other] {
        match got {
            Ok(got) => generations.push(got.unwrap().unwrap().generation()),
            Err(_) => panics += 1,
        }
    }
    assert_eq!((panics, generations), (1, vec![1]));
}

/// What a task gets of it panics when it is dropped.
struct Fragile {
    is_clone: bool,
}

impl Clone for Fragile {
    fn clone(&self) -> Self {
        Self { is_clone: true }
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(!self.is_clone, "a drop that panics");
    }
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_reported_though_the_drop_of_the_client_panics() {
    let connector = || async { io::Result::Ok(Fragile { is_clone: false }) };
    let database = Reconnecting::builder(connector).lazy().shared();
    let lease = database.get().await.unwrap();
    let report = AssertUnwindSafe(|| lease.mark_lost(ErrorKind::BrokenPipe.into()));
    std::panic::catch_unwind(report).unwrap_err();
    let next = database.get().await.unwrap();
    assert_eq!(next.generation(), 2);
    std::mem::forget(next);
}

/// Runs when a client is cloned, which is within a poll.
type OnClone = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

struct Cloned(OnClone);

impl Clone for Cloned {
    fn clone(&self) -> Self {
        let on_clone = self.0.lock().unwrap().take();
        on_clone.into_iter().for_each(|on_clone| on_clone());
        Self(Arc::clone(&self.0))
    }
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_is_reported_while_another_task_polls_is_executed_after_it() {
    let on_clone = OnClone::default();
    let connector = {
        let on_clone = Arc::clone(&on_clone);
        move || std::future::ready(io::Result::Ok(Cloned(Arc::clone(&on_clone))))
    };
    let database = Reconnecting::builder(connector).lazy().shared();
    let lease = database.get().await.unwrap();
    let report = move || lease.mark_lost(ErrorKind::BrokenPipe.into());
    *on_clone.lock().unwrap() = Some(Box::new(report));
    assert_eq!(database.get().await.unwrap().generation(), 1);
    assert!(matches!(database.state(), State::Backoff { .. }));
}
