//! Connectors and delays that panic.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reconnecting_stream::{Backoff, Seam, State};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::contract::Net;
use super::support::Outcome;
use super::*;

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_is_under_the_caps_and_the_events_are_in_order() {
    for outcome in [Outcome::Panics, Outcome::ConnectorPanics] {
        let net = Net::new();
        net.script([Outcome::Accepts]).otherwise(outcome);
        let (builder, recorder) = observed(&net, Seam::Hidden);
        let policy = policy().max_attempts(2);
        let mut stream = builder.policy(policy).connect().await.unwrap();
        recorder.watch(stream.handle());
        net.peer(1).reset();
        for _ in 0..2 {
            assert!(caught(stream.write_all(b"x")).await.is_none());
        }
        assert!(has_given_up(&stream.write_all(b"x").await));
        let names: Vec<_> = recorder.take();
        let expected = [
            "connected",
            "lost",
            "retrying",
            "failed",
            "retrying",
            "failed",
            "gave up",
        ];
        assert_eq!(names, expected);
        let (_, state) = recorder.take_states().pop().unwrap();
        assert_eq!(state, State::GaveUp);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_holds_though_the_connector_had_panicked() {
    let net = Net::new();
    net.script([Outcome::Accepts, Outcome::ConnectorPanics]);
    let mut stream = connect(&net, Seam::Hidden).await;
    net.peer(1).reset();
    assert!(caught(stream.write_all(b"x")).await.is_none());
    stream.shutdown().await.unwrap();
    stream.handle().reconnect();
    assert!(is_lost(&read(&mut stream).await));
    assert!(stream.write(b"x").await.is_err());
    assert_eq!(net.attempts().len(), 2);
}

/// Delays whose iterator panics, or the factory of it, and how often that was.
fn panicking_delays(in_factory: bool) -> (Backoff, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let delays = Backoff::from_factory(move || {
        let counted = Arc::clone(&counted);
        if in_factory {
            counted.fetch_add(1, Ordering::Relaxed);
            panic!("scripted");
        }
        std::iter::repeat_with(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            panic!("scripted")
        })
    });
    (delays, count)
}

#[tokio::test(start_paused = true)]
async fn delays_whose_iterator_panics_are_under_the_caps_and_never_zero() {
    // The iterator panics, or its factory does.
    for in_factory in [true, false] {
        let net = Net::new();
        net.script([Outcome::Accepts])
            .otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
        let (delays, count) = panicking_delays(in_factory);
        let (builder, recorder) = observed(&net, Seam::Error);
        let policy = policy().backoff(delays).max_attempts(3);
        let mut stream = builder.policy(policy).connect().await.unwrap();
        net.peer(1).reset();
        let before = Instant::now();
        let mut panics = 0;
        let mut seams = 0;
        let result = loop {
            match caught(stream.write_all(b"x")).await {
                None => panics += 1,
                Some(result) if is_lost(&result) => seams += 1,
                Some(result) => break result,
            }
        };
        assert!(has_given_up(&result));
        assert_eq!((panics, seams), (3, 1), "one seam for the writer");
        assert_eq!(count.load(Ordering::Relaxed), 3);
        assert_eq!(net.attempts().len(), 4);
        assert!(before.elapsed() >= SECOND);
        let events = recorder.take();
        assert_eq!(events[..3], ["connected", "lost", "retrying"]);
        assert_eq!(events.last(), Some(&"gave up"));
    }
}
