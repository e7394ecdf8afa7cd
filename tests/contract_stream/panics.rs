//! Foreign code that panics: the panic is the caller's, and the stream's rules hold all the same.

use std::io::ErrorKind;

use reconnecting_stream::{Phase, Seam, State, Verdict};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::contract::{Net, Op};
use super::support::{Outcome, Task};
use super::*;

const EVENTS: [&str; 6] = [
    "lost",
    "retrying",
    "failed",
    "connected",
    "gave up",
    "closed",
];

/// The events, the states at them, the attempts and the time of an outage that is given up and of
/// the closing after it, with an observer that panics at some events.
async fn told(panics_at: &[&'static str]) -> (Vec<(&'static str, State)>, usize, Duration) {
    let net = Net::new();
    net.script([Outcome::Accepts, Outcome::Hangs])
        .otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
    let (builder, recorder) = observed(&net, Seam::Hidden);
    let policy = policy().max_attempts(3);
    let mut stream = builder.policy(policy).connect().await.unwrap();
    recorder.watch(stream.handle());
    for name in panics_at {
        recorder.panic_at(name);
    }
    let before = Instant::now();
    net.peer(1).reset();
    let mut panics = 0;
    let result = loop {
        match caught(stream.write_all(b"x")).await {
            Some(result) => break result,
            None => panics += 1,
        }
    };
    assert!(has_given_up(&result));
    stream.handle().close();
    while caught(read(&mut stream)).await.is_none() {
        panics += 1;
    }
    assert_eq!(panics > 0, !panics_at.is_empty());
    assert_eq!(stream.state(), State::Closed);
    (
        recorder.take_states(),
        net.attempts().len(),
        before.elapsed(),
    )
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_changes_no_order_of_events_no_state_and_no_cap() {
    let calm = told(&[]).await;
    let names: Vec<_> = calm.0.iter().map(|(name, _)| *name).collect();
    assert_eq!(names[..3], ["lost", "retrying", "failed"]);
    assert_eq!(names[names.len() - 2..], ["gave up", "closed"]);
    assert_eq!(calm.1, 4);
    for name in EVENTS.into_iter().filter(|name| *name != "connected") {
        assert_eq!(told(&[name]).await, calm, "{name}");
    }
    assert_eq!(told(&EVENTS).await, calm);
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_event_panics_the_observer_is_there_all_the_same() {
    let net = Net::new();
    let (builder, recorder) = observed(&net, Seam::Error);
    let mut stream = builder.connect().await.unwrap();
    let handle = stream.handle();
    recorder.panic_at("connected");
    net.peer(1).reset();
    assert!(is_lost(&stream.write_all(b"x").await));
    assert!(caught(stream.write_all(b"x")).await.is_none());
    assert_eq!(handle.state(), State::Connected { generation: 2 });
    stream.write_all(b"x").await.unwrap();
    assert_eq!(net.peer(2).text(), "x");
    assert!(is_lost(&read(&mut stream).await), "the reader is told");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_whose_events_panic_the_observer_is_a_shutdown_and_its_loss_is_told() {
    for seam in SEAMS {
        for name in ["lost", "closed"] {
            let net = Net::new();
            let (builder, recorder) = observed(&net, seam);
            let mut stream = builder.connect().await.unwrap();
            recorder.panic_at(name);
            net.peer(1).fail_once(Op::Shutdown, ErrorKind::BrokenPipe);
            assert!(caught(stream.shutdown()).await.is_none());
            assert_eq!(stream.handle().state(), State::Closed);
            assert!(is_lost(&stream.shutdown().await), "{seam:?}");
            assert!(is_lost(&read(&mut stream).await), "{seam:?}");
            stream.reconnect();
            assert_eq!(read(&mut stream).await.unwrap(), b"");
            assert_eq!(net.attempts().len(), 1);
            assert_eq!(recorder.take(), ["connected", "lost", "closed"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_that_waits_is_woken_and_told_though_the_observer_panics_at_the_loss() {
    let net = Net::new();
    let (builder, recorder) = observed(&net, Seam::Error);
    let mut stream = builder.connect().await.unwrap();
    let task = Task::new();
    assert!(task.poll(|cx| poll_read(&mut stream, cx)).is_pending());
    recorder.panic_at("lost");
    net.peer(1).fail_once(Op::Write, ErrorKind::BrokenPipe);
    task.take_wakes();
    assert!(caught(stream.write_all(b"x")).await.is_none());
    assert!(task.is_woken());
    assert!(is_lost(&read(&mut stream).await));
}

#[tokio::test(start_paused = true)]
async fn giving_up_for_good_holds_though_the_observer_panics_at_it() {
    let net = Net::new();
    net.script([Outcome::Accepts, Outcome::RefusesForGood]);
    let (builder, recorder) = observed(&net, Seam::Hidden);
    let mut stream = builder.connect().await.unwrap();
    recorder.panic_at("failed").panic_at("gave up");
    net.peer(1).reset();
    assert!(caught(stream.write_all(b"x")).await.is_none());
    assert_eq!(stream.handle().state(), State::GaveUp);
    for _ in 0..2 {
        assert!(has_given_up(&stream.write_all(b"x").await));
        assert!(has_given_up(&read(&mut stream).await));
    }
    assert_eq!(net.attempts().len(), 2);
}

fn panics_on_a_connection(error: &io::Error, phase: Phase) -> Verdict {
    assert!(matches!(phase, Phase::Connect { .. }), "scripted: {error}");
    Verdict::of(error, phase)
}

fn panics_on_an_attempt(error: &io::Error, phase: Phase) -> Verdict {
    assert!(!matches!(phase, Phase::Connect { .. }), "scripted: {error}");
    Verdict::of(error, phase)
}

#[tokio::test(start_paused = true)]
async fn a_classifier_that_panics_loses_the_connection_and_both_halves_are_told_once() {
    for op in [Op::Read, Op::Write, Op::Flush] {
        let net = Net::new();
        let (builder, recorder) = observed(&net, Seam::Error);
        let policy = policy().classify(panics_on_a_connection);
        let mut stream = builder.policy(policy).connect().await.unwrap();
        net.peer(1).fail_once(op, ErrorKind::Other);
        let panicked = match op {
            Op::Read => caught(read(&mut stream)).await.is_none(),
            Op::Write => caught(stream.write(b"x")).await.is_none(),
            Op::Flush | Op::Shutdown => caught(stream.flush()).await.is_none(),
        };
        assert!(panicked);
        assert!(net.peer(1).is_dropped());
        assert!(matches!(
            stream.handle().state(),
            State::Backoff { attempt: 1, .. }
        ));
        assert!(is_lost(&read(&mut stream).await), "{op:?}");
        assert!(is_lost(&stream.write(b"x").await), "{op:?}");
        stream.write_all(b"x").await.unwrap();
        assert_eq!(net.peer(2).text(), "x");
        assert_eq!(
            recorder.take(),
            ["connected", "lost", "retrying", "connected"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_classifier_that_panics_in_a_shutdown_leaves_a_shutdown_whose_loss_is_told() {
    for seam in SEAMS {
        let net = Net::new();
        let policy = policy().classify(panics_on_a_connection);
        let builder = build(&net, seam).policy(policy);
        let mut stream = builder.connect().await.unwrap();
        net.peer(1).fail_once(Op::Shutdown, ErrorKind::Other);
        assert!(caught(stream.shutdown()).await.is_none());
        assert!(is_lost(&stream.shutdown().await), "{seam:?}");
        assert!(is_lost(&read(&mut stream).await), "{seam:?}");
        assert_eq!(net.attempts().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_classifier_that_panics_at_each_attempt_is_under_the_caps_and_the_backoff() {
    let net = Net::new();
    net.script([Outcome::Accepts])
        .otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
    let (builder, recorder) = observed(&net, Seam::Hidden);
    let policy = policy().max_attempts(3).classify(panics_on_an_attempt);
    let mut stream = builder.policy(policy).connect().await.unwrap();
    net.peer(1).reset();
    let before = Instant::now();
    for _ in 0..3 {
        assert!(caught(stream.write_all(b"x")).await.is_none());
    }
    assert!(has_given_up(&stream.write_all(b"x").await));
    assert_eq!(before.elapsed(), 3 * SECOND);
    assert_eq!(net.attempts().len(), 4);
    let events = recorder.take();
    assert_eq!(events.iter().filter(|name| **name == "failed").count(), 3);
    assert_eq!(events.last(), Some(&"gave up"));
}
