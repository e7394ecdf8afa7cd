//! The tasks that wait for one client wake each other when they have to, and only then.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_is_woken_though_the_one_that_polled_last_is_gone() {
    for is_canceled in [false, true] {
        let servers = Servers::default();
        servers.answer([Answer::After(SECOND)]);
        let database = builder(&servers).lazy().shared();
        let (task, last) = (Task::new(), Task::new());
        let mut waiting = pin!(database.get());
        let mut idle = Some(Box::pin(database.get()));
        for _ in 0..3 {
            assert!(task.poll_future(waiting.as_mut()).is_pending());
            let idle = idle.as_mut().unwrap();
            assert!(last.poll_future(idle.as_mut()).is_pending());
        }
        if is_canceled {
            idle = None;
        }
        task.take_wakes();
        sleep(2 * SECOND).await;
        assert!(task.is_woken());
        assert!(task.poll_future(waiting.as_mut()).is_ready());
        drop(idle);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_poll_of_one_task_wakes_the_others() {
    let servers = Servers::default();
    servers.answer([Answer::PanicsLater]);
    let database = builder(&servers).lazy().shared();
    let task = Task::new();
    let mut waiting = pin!(database.get());
    while servers.attempts().is_empty() {
        assert!(task.poll_future(waiting.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    task.take_wakes();
    let panicked = AssertUnwindSafe(database.get()).catch_unwind().await;
    assert!(panicked.is_err());
    assert!(
        task.is_woken(),
        "there is no timer and no attempt to wake it"
    );
    assert_eq!(soon_ready(&task, waiting).await.generation(), 1);
}

/// Polls a future each time its task is woken, for some seconds.
async fn soon_ready<F, T>(task: &Task, mut future: std::pin::Pin<&mut F>) -> T
where
    F: Future<Output = io::Result<T>>,
{
    for _ in 0..100 {
        if task.is_woken() {
            if let Poll::Ready(ended) = task.poll_future(future.as_mut()) {
                return ended.unwrap();
            }
        }
        sleep(SECOND / 10).await;
    }
    panic!("it waits for ever");
}

/// Tasks on threads use the client, and each report of a loss is of the client that failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_on_threads_lose_no_wake_up_and_no_fresh_client() {
    const TASKS: usize = 8;
    const ROUNDS: u64 = 200;
    let servers = Servers::default();
    let policy = Policy::default().backoff(Backoff::none());
    let builder = Reconnecting::builder(servers.connector());
    let database = builder.policy(policy.max_attempts(None)).lazy().shared();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move {
                for round in 1..=ROUNDS {
                    loop {
                        let lease = database.get().await.unwrap();
                        // All tasks find each client dead, except the one of their round.
                        if lease.generation() >= round {
                            break;
                        }
                        lease.mark_lost(broken());
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(
        servers.attempts().len() as u64,
        ROUNDS,
        "no client was lost twice"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_that_wait_at_the_same_time_do_not_wake_each_other_for_ever() {
    const TASKS: usize = 64;
    let database = Reconnecting::builder(std::future::pending::<io::Result<Client>>)
        .policy(Policy::default().attempt_timeout(1000 * SECOND))
        .lazy()
        .shared();
    let polls = Arc::new(AtomicUsize::new(0));
    let tasks = (0..TASKS).map(|_| {
        let (database, polls) = (database.clone(), Arc::clone(&polls));
        tokio::spawn(async move {
            let mut get = pin!(database.get());
            poll_fn(|cx| {
                polls.fetch_add(1, Ordering::SeqCst);
                get.as_mut().poll(cx).map_ok(drop)
            })
            .await
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut before = 0;
    loop {
        sleep(SECOND / 20).await;
        let now = polls.load(Ordering::SeqCst);
        assert!(now < 20_000, "{now} polls");
        if now >= TASKS && now == before {
            break;
        }
        before = now;
    }
    database.handle().close();
    for task in tasks {
        assert!(task.await.unwrap().is_err());
    }
}

type Get = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

#[tokio::test(start_paused = true)]
async fn a_poll_that_changes_nothing_wakes_only_a_task_that_came_during_it() {
    // Polled within an attempt, and so within the poll of another task.
    let during = Arc::new(Mutex::new(None::<(Task, Get)>));
    let nested = Arc::clone(&during);
    let connector = move || {
        let nested = Arc::clone(&nested);
        poll_fn(move |_| {
            if let Some((task, get)) = &mut *nested.lock().unwrap() {
                assert!(task.poll(|cx| get.as_mut().poll(cx)).is_pending());
            }
            Poll::<io::Result<Client>>::Pending
        })
    };
    let database = Reconnecting::builder(connector).lazy().shared();
    let get = || -> Get {
        let database = database.clone();
        Box::pin(async move { drop(database.get().await) })
    };
    let [first, second, third] = [Task::new(), Task::new(), Task::new()];
    let (mut waits, mut polls) = (get(), get());
    // The begin of the attempt wakes it as well.
    for _ in 0..2 {
        assert!(first.poll(|cx| waits.as_mut().poll(cx)).is_pending());
    }
    assert_eq!(first.take_wakes(), 0);
    *during.lock().unwrap() = Some((third.clone(), get()));
    assert!(second.poll(|cx| polls.as_mut().poll(cx)).is_pending());
    assert_eq!(first.take_wakes(), 0);
    assert_eq!(second.take_wakes(), 0);
    assert_eq!(third.take_wakes(), 1);
    during.lock().unwrap().take();
}

#[tokio::test(start_paused = true)]
async fn a_task_that_gets_its_client_is_not_woken() {
    let servers = Servers::default();
    let database = builder(&servers).connect().await.unwrap().shared();
    let task = Task::new();
    let mut get = pin!(database.get());
    assert!(task.poll_future(get.as_mut()).is_ready());
    assert_eq!(task.take_wakes(), 0);
}

/// A task that is polled within its wake-up.
struct Inline(Mutex<Get>);

impl Inline {
    fn is_pending(&self, waker: &Waker) -> bool {
        let mut get = self.0.lock().unwrap();
        let cx = &mut Context::from_waker(waker);
        get.as_mut().poll(cx).is_pending()
    }
}

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        assert!(self.is_pending(Waker::noop()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_is_woken_once_the_lock_is_free() {
    // Polled within an attempt, and so within the poll of another task.
    let during = Arc::new(Mutex::new(None::<Arc<Inline>>));
    let polls = Arc::new(AtomicUsize::new(0));
    let (nested, counted) = (Arc::clone(&during), Arc::clone(&polls));
    let connector = move || {
        let (nested, counted) = (Arc::clone(&nested), Arc::clone(&counted));
        poll_fn(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            let nested = nested.lock().unwrap().take();
            if let Some(inline) = nested {
                assert!(inline.is_pending(&Waker::from(Arc::clone(&inline))));
            }
            Poll::<io::Result<Client>>::Pending
        })
    };
    let database = Reconnecting::builder(connector).lazy().shared();
    let get = || -> Get {
        let database = database.clone();
        Box::pin(async move { drop(database.get().await) })
    };
    let (task, mut waiting) = (Task::new(), get());
    assert!(task.poll(|cx| waiting.as_mut().poll(cx)).is_pending());
    let before = polls.load(Ordering::SeqCst);
    *during.lock().unwrap() = Some(Arc::new(Inline(Mutex::new(get()))));
    assert!(task.poll(|cx| waiting.as_mut().poll(cx)).is_pending());
    assert_eq!(polls.load(Ordering::SeqCst), before + 2);
}

/// A task that does nothing when it is woken.
struct Idle;

impl Wake for Idle {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test(start_paused = true)]
async fn a_get_that_is_dropped_leaves_no_waker() {
    let connector = std::future::pending::<io::Result<Client>>;
    let database = Reconnecting::builder(connector).lazy().shared();
    let idle = Arc::new(Idle);
    let waker = Waker::from(Arc::clone(&idle));
    let mut get = Box::pin(database.get());
    // The begin of the attempt wakes it.
    for _ in 0..2 {
        let cx = &mut Context::from_waker(&waker);
        assert!(get.as_mut().poll(cx).is_pending());
    }
    drop(waker);
    assert_eq!(Arc::strong_count(&idle), 2);
    drop(get);
    assert_eq!(Arc::strong_count(&idle), 1);
}
