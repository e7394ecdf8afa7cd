//! Connectors that never complete, panic, or fail for ever.

mod support;

use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use reconnecting_stream::{Backoff, Event, Policy, ReconnectingStream, State};
use support::{Network, Outcome, gave_up};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> Policy {
    Policy::default().backoff(Backoff::constant(SECOND))
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_never_completes_is_given_up_with_its_cause() {
    let network = Network::new();
    network.otherwise(Outcome::Hangs);
    let mut stream = ReconnectingStream::builder(network.connector())
        .policy(policy().max_attempts(3))
        .lazy();
    let start = Instant::now();
    let error = stream.write_all(b"x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(gave_up(&error).unwrap().attempts, 3);
    assert_eq!(start.elapsed(), 3 * 10 * SECOND + 2 * SECOND);
    assert_eq!(network.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_timeout_of_zero_is_one_millisecond_and_of_max_is_none() {
    let network = Network::new();
    network.otherwise(Outcome::AcceptsAfter(SECOND));
    for (limit, connects) in [(Duration::ZERO, false), (Duration::MAX, true)] {
        let mut stream = ReconnectingStream::builder(network.connector())
            .policy(policy().attempt_timeout(limit).max_attempts(1))
            .lazy();
        assert_eq!(stream.connected().await.is_ok(), connects);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_connector_passes_to_the_caller_and_the_stream_continues() {
    for outcome in [Outcome::Panics, Outcome::ConnectorPanics] {
        let network = Network::new();
        network.script([Outcome::Accepts, outcome]);
        let mut stream = ReconnectingStream::builder(network.connector())
            .policy(policy())
            .connect()
            .await
            .unwrap();
        network.peer(1).reset();
        let panicked = AssertUnwindSafe(stream.write_all(b"x"))
            .catch_unwind()
            .await;
        assert!(panicked.is_err());
        assert!(matches!(stream.state(), State::Backoff { attempt: 2, .. }));

        stream.write_all(b"x").await.unwrap();
        assert_eq!(network.peer(2).received(), b"x");
        let error = network.attempts()[2].attempt.last_error.clone().unwrap();
        assert_eq!(error.to_string(), "the connector panicked");
    }
}

#[tokio::test(start_paused = true)]
async fn panics_of_the_connector_are_attempts_and_are_capped() {
    let network = Network::new();
    network.otherwise(Outcome::Panics);
    let mut stream = ReconnectingStream::builder(network.connector())
        .policy(policy().max_attempts(3))
        .lazy();
    for _ in 0..3 {
        let panicked = AssertUnwindSafe(stream.connected()).catch_unwind().await;
        assert!(panicked.is_err());
    }
    let error = stream.connected().await.unwrap_err();
    assert_eq!(gave_up(&error).unwrap().attempts, 3);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_first_attempt_passes_to_the_caller_of_connect() {
    let network = Network::new();
    network.otherwise(Outcome::Panics);
    let connect = ReconnectingStream::connect(network.connector());
    assert!(AssertUnwindSafe(connect).catch_unwind().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_observer_or_of_the_delays_strands_no_half() {
    let panics = Arc::new(AtomicBool::new(false));
    let network = Network::new();
    let (in_observer, in_delays) = (Arc::clone(&panics), Arc::clone(&panics));
    let delays = Backoff::from_factory(move || {
        let panics = Arc::clone(&in_delays);
        std::iter::repeat_with(move || {
            assert!(!panics.load(Ordering::Relaxed), "scripted");
            SECOND
        })
    });
    for by_observer in [true, false] {
        let in_observer = Arc::clone(&in_observer);
        let mut stream = ReconnectingStream::builder(network.connector())
            .policy(policy().backoff(delays.clone()))
            .on_event(move |_: &Event| {
                assert!(
                    !(by_observer && in_observer.load(Ordering::Relaxed)),
                    "scripted"
                );
            })
            .connect()
            .await
            .unwrap();
        let old = network.peer(network.connections());
        old.reset();
        panics.store(true, Ordering::Relaxed);
        let panicked = AssertUnwindSafe(stream.write_all(b"x"))
            .catch_unwind()
            .await;
        assert!(panicked.is_err());
        assert!(old.is_dropped());
        panics.store(false, Ordering::Relaxed);
        stream.write_all(b"x").await.unwrap();
        assert!(!old.was_touched_when_dead());
        assert_eq!(network.peer(network.connections()).received(), b"x");
    }
}

#[tokio::test(start_paused = true)]
async fn a_million_failed_attempts_are_made_and_counted() {
    let attempts = Arc::new(Mutex::new(0_u32));
    let count = Arc::clone(&attempts);
    let mut stream = ReconnectingStream::builder(move || {
        *count.lock().unwrap() += 1;
        async { Err::<support::Wire, _>(ErrorKind::ConnectionRefused.into()) }
    })
    .policy(
        Policy::default()
            .backoff(Backoff::none())
            .max_attempts(1_000_000),
    )
    .lazy();
    let error = stream.write_all(b"x").await.unwrap_err();
    assert_eq!(gave_up(&error).unwrap().attempts, 1_000_000);
    assert_eq!(*attempts.lock().unwrap(), 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn a_flapping_stream_connects_with_the_logarithm_of_time_until_the_cap() {
    let network = Network::new();
    network.otherwise(Outcome::AcceptsThen(support::Fault::Reset));
    let mut stream = ReconnectingStream::builder(network.connector())
        .policy(Policy::default().max_attempts(None))
        .lazy();
    let mut seen = Vec::new();
    for _ in 0..6 {
        let _ = timeout(60 * SECOND, stream.write_all(b"x")).await;
        seen.push(network.connections());
    }
    // Full jitter: a delay is half of its cap on average, and the cap is reached after 7.
    assert!(seen[0] < 40, "{seen:?}");
    let per_minute = (seen[5] - seen[0]) / 5;
    assert!(
        (6..=24).contains(&per_minute),
        "about 12 at the cap of 10 s: {seen:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn flapping_ends_at_the_cap_of_attempts() {
    let network = Network::new();
    network.otherwise(Outcome::AcceptsThen(support::Fault::Reset));
    let mut stream = ReconnectingStream::builder(network.connector()).lazy();
    let error = stream.write_all(b"x").await.unwrap_err();
    assert_eq!(gave_up(&error).unwrap().attempts, 100);
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}
