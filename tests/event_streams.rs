//! Events for other tasks: which a subscriber gets, and when they end.

mod support;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use reconnecting_stream::{
    Backoff, Builder, Connect, Event, Events, Handle, Policy, ReconnectingStream, State,
};
use support::{Network, Outcome, Task, Wire};
use tokio::io::AsyncWriteExt;

const SECOND: Duration = Duration::from_secs(1);

fn builder(network: &Network) -> Builder<impl Connect<Io = Wire> + use<>> {
    let policy = Policy::default().backoff(Backoff::constant(SECOND));
    ReconnectingStream::builder(network.connector()).policy(policy.max_attempts(3))
}

/// Returns the events that wait for a subscriber, and whether they have ended.
fn waiting(events: &mut Events) -> (Vec<String>, bool) {
    let (task, mut lines) = (Task::new(), Vec::new());
    loop {
        match task.poll_future(pin!(events.recv())) {
            std::task::Poll::Pending => return (lines, false),
            std::task::Poll::Ready(None) => return (lines, true),
            std::task::Poll::Ready(Some(Ok(event))) => lines.push(format!("{event:?}")),
            std::task::Poll::Ready(Some(Err(missed))) => lines.push(missed.to_string()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_subscriber_gets_the_events_of_the_observer_and_then_the_end() {
    let network = Network::new();
    let refuses = Outcome::Refuses(std::io::ErrorKind::ConnectionRefused);
    network.script([Outcome::Accepts, refuses]);
    let observed = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&observed);
    let mut stream = builder(&network)
        .on_event(move |event: &Event| lines.lock().unwrap().push(format!("{event:?}")))
        .connect()
        .await
        .unwrap();
    let handle = stream.handle();
    let mut subscribers = [handle.subscribe_events(), handle.subscribe_events()];
    observed.lock().unwrap().clear();
    network.peer(1).reset();
    stream.write_all(b"x").await.unwrap();
    handle.close();
    stream.write_all(b"x").await.unwrap_err();
    let expected = observed.lock().unwrap().clone();
    // Lost, retrying, failed, retrying, connected, closed.
    assert_eq!(expected.len(), 6);
    for events in &mut subscribers {
        assert_eq!(waiting(events), (expected.clone(), false));
    }
    drop(stream);
    for events in &mut subscribers {
        assert_eq!(waiting(events), (vec![], true));
        assert_eq!(waiting(events), (vec![], true), "it stays ended");
    }
    assert_eq!(handle.state(), State::Closed);
    assert_eq!(waiting(&mut handle.subscribe_events()), (vec![], true));
}

#[tokio::test(start_paused = true)]
async fn events_end_for_the_first_subscriber_of_a_stream_that_is_gone() {
    let network = Network::new();
    let stream = builder(&network).connect().await.unwrap();
    let handle = stream.handle();
    drop(stream);
    assert_eq!(waiting(&mut handle.subscribe_events()), (vec![], true));
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_is_too_slow_is_told_how_many_it_missed_and_gets_the_last() {
    let network = Network::new();
    let mut stream = builder(&network).connect().await.unwrap();
    let mut events = stream.handle().subscribe_events();
    // Each reconnect is three events: lost, retrying, connected.
    const RECONNECTS: u64 = 30;
    for _ in 0..RECONNECTS {
        stream.reconnect();
        stream.connected().await.unwrap();
    }
    let (lines, has_ended) = waiting(&mut events);
    assert!(!has_ended);
    let missed = 3 * RECONNECTS - 64;
    let text = format!("the subscriber was too slow for {missed} events");
    assert_eq!((lines.len(), &lines[0]), (65, &text));
    let last = format!("Connected {{ generation: {}", RECONNECTS + 1);
    assert!(lines[64].starts_with(&last), "{}", lines[64]);
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_is_woken_for_each_change_and_for_the_end() {
    let network = Network::new();
    let mut stream = builder(&network).connect().await.unwrap();
    let mut events = stream.handle().subscribe_events();
    let task = Task::new();
    let is_woken = |events: &mut Events, change: &mut dyn FnMut()| {
        assert!(task.poll_future(pin!(events.recv())).is_pending());
        task.take_wakes();
        change();
        let is_woken = task.is_woken();
        waiting(events);
        is_woken
    };
    assert!(is_woken(&mut events, &mut || stream.reconnect()), "lost");
    let mut stream = Some(stream);
    stream.as_mut().unwrap().connected().await.unwrap();
    waiting(&mut events);
    assert!(
        is_woken(&mut events, &mut || drop(stream.take())),
        "the end"
    );
}

/// A waker that subscribes, as a task that is run within the wake-up may.
struct Subscribes {
    handle: Handle,
    wakes: AtomicUsize,
}

impl Wake for Subscribes {
    fn wake(self: Arc<Self>) {
        drop(self.handle.subscribe_events());
        self.wakes.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_waker_of_a_subscriber_may_subscribe() {
    let network = Network::new();
    let mut stream = builder(&network).connect().await.unwrap();
    let handle = stream.handle();
    let mut events = handle.subscribe_events();
    let wakes = AtomicUsize::new(0);
    let subscribes = Arc::new(Subscribes { handle, wakes });
    let waker = Waker::from(Arc::clone(&subscribes));
    let wait = |events: &mut Events| {
        waiting(events);
        let polled = pin!(events.recv()).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    };
    wait(&mut events);
    stream.reconnect();
    assert_eq!(subscribes.wakes.load(Ordering::SeqCst), 1);
    wait(&mut events);
    drop(stream);
    assert_eq!(subscribes.wakes.load(Ordering::SeqCst), 2);
}

/// An error that subscribes when it is dropped.
#[derive(Debug)]
struct SubscribesLast(Handle);

impl std::fmt::Display for SubscribesLast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("subscribes last")
    }
}

impl std::error::Error for SubscribesLast {}

impl Drop for SubscribesLast {
    fn drop(&mut self) {
        drop(self.0.subscribe_events());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cause_that_is_dropped_may_subscribe() {
    for is_received in [false, true] {
        // It keeps no cause, as the scripted network does.
        let connector = || async { std::io::Result::Ok(tokio::io::duplex(64).0) };
        let builder =
            ReconnectingStream::builder(connector).policy(Policy::default().max_attempts(None));
        let mut stream = builder.connect().await.unwrap();
        let handle = stream.handle();
        let mut events = handle.subscribe_events();
        // More than there is room for.
        for _ in 0..80 {
            let cause = SubscribesLast(handle.clone());
            stream.mark_lost(std::io::Error::other(cause));
            stream.connected().await.unwrap();
            if is_received {
                assert_eq!(waiting(&mut events).0.len(), 3);
            }
        }
        drop(events);
        stream.reconnect();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_subscribers_are_gone_keeps_no_events() {
    let connector = || async { std::io::Result::Ok(tokio::io::duplex(64).0) };
    let mut stream = ReconnectingStream::connect(connector).await.unwrap();
    let handle = stream.handle();
    let mut events = handle.subscribe_events();
    let cause = Arc::new(());
    let lose = |stream: &mut ReconnectingStream<_>| {
        let cause = Keeps(Arc::clone(&cause));
        stream.mark_lost(std::io::Error::other(cause));
    };
    lose(&mut stream);
    stream.connected().await.unwrap();
    waiting(&mut events);
    assert_eq!(Arc::strong_count(&cause), 2, "a subscriber may be behind");
    drop(events);
    lose(&mut stream);
    stream.connected().await.unwrap();
    assert_eq!(Arc::strong_count(&cause), 1);
}

/// An error that keeps something.
#[derive(Debug)]
struct Keeps(#[expect(dead_code, reason = "it is counted")] Arc<()>);

impl std::fmt::Display for Keeps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("keeps")
    }
}

impl std::error::Error for Keeps {}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_observer_takes_no_event_from_a_subscriber() {
    let network = Network::new();
    let mut stream = builder(&network)
        .on_event(|event: &Event| assert!(!matches!(event, Event::Lost { .. }), "a bug"))
        .connect()
        .await
        .unwrap();
    let mut events = stream.handle().subscribe_events();
    assert!(catch_unwind(AssertUnwindSafe(|| stream.reconnect())).is_err());
    assert_eq!(waiting(&mut events).0.len(), 2, "lost, retrying");
}

#[cfg(feature = "codec")]
#[tokio::test(start_paused = true)]
async fn events_are_a_stream() {
    use futures::StreamExt;

    let network = Network::new();
    let mut stream = builder(&network).connect().await.unwrap();
    let events = stream.handle().subscribe_events();
    stream.reconnect();
    drop(stream);
    assert_eq!(events.count().await, 2);
}
