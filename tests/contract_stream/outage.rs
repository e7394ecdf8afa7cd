//! What handles see at an event, the rules of an outage, and the defaults.

use std::io::ErrorKind;

use reconnecting_stream::{Connect, Phase, Policy, ReconnectingStream, Seam, State, Verdict};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, advance, sleep, timeout};

use super::contract::{Net, Op, Socket};
use super::support::Outcome;
use super::*;

#[derive(Clone, Copy, Debug)]
enum Loss {
    Read,
    Write,
    OnDemand,
    Marked,
    Permanent,
    InShutdown,
}

fn classify(error: &io::Error, phase: Phase) -> Verdict {
    match error.kind() {
        ErrorKind::InvalidInput => Verdict::Permanent,
        _ => Verdict::of(error, phase),
    }
}

async fn lose(loss: Loss, net: &Net, stream: &mut ReconnectingStream<impl Connect<Io = Socket>>) {
    let peer = net.peer(1);
    match loss {
        Loss::Read => drop(peer.fail_once(Op::Read, ErrorKind::ConnectionReset).clone()),
        Loss::Write => drop(peer.fail_once(Op::Write, ErrorKind::BrokenPipe).clone()),
        Loss::OnDemand => stream.handle().reconnect(),
        Loss::Marked => stream.handle().mark_lost(ErrorKind::Other.into()),
        Loss::Permanent => drop(peer.fail_once(Op::Read, ErrorKind::InvalidInput).clone()),
        Loss::InShutdown => {
            peer.fail_once(Op::Shutdown, ErrorKind::BrokenPipe);
            assert!(stream.shutdown().await.is_err());
        }
    }
    let _ = match loss {
        Loss::Write => stream.write(b"x").await.map(drop),
        _ => read(stream).await.map(drop),
    };
}

#[tokio::test(start_paused = true)]
async fn at_the_event_lost_the_state_that_handles_see_is_no_longer_connected() {
    for loss in [
        Loss::Read,
        Loss::Write,
        Loss::OnDemand,
        Loss::Marked,
        Loss::Permanent,
        Loss::InShutdown,
    ] {
        let net = Net::new();
        let (builder, recorder) = observed(&net, Seam::Error);
        let builder = builder.policy(policy().classify(classify));
        let mut stream = builder.connect().await.unwrap();
        recorder.watch(stream.handle());
        lose(loss, &net, &mut stream).await;
        let (name, state) = recorder.take_states()[0];
        assert_eq!(name, "lost");
        let is_expected = match loss {
            Loss::Permanent => state == State::GaveUp,
            Loss::InShutdown => state == State::Closed,
            _ => matches!(state, State::Backoff { attempt: 1, .. }),
        };
        assert!(is_expected, "{loss:?}: {state:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn at_every_event_the_state_that_handles_see_is_the_one_after_it() {
    let net = Net::new();
    let refuses = Outcome::Refuses(ErrorKind::ConnectionRefused);
    net.script([Outcome::Accepts, refuses, Outcome::Accepts])
        .otherwise(refuses);
    let (builder, recorder) = observed(&net, Seam::Hidden);
    let policy = policy().max_attempts(3);
    let mut stream = builder.policy(policy).connect().await.unwrap();
    recorder.watch(stream.handle());
    net.peer(1).reset();
    stream.write_all(b"x").await.unwrap();
    net.peer(2).reset();
    assert!(has_given_up(&stream.write_all(b"x").await));
    stream.handle().close();
    assert_eq!(read(&mut stream).await.unwrap(), b"");
    let states = recorder.take_states();
    let backoff = |attempt| move |state: State| matches!(state, State::Backoff { attempt: n, .. } if n == attempt);
    let gave_up = |state: State| state == State::GaveUp;
    let expected: [(&str, &dyn Fn(State) -> bool); 10] = [
        ("lost", &backoff(1)),
        ("retrying", &backoff(1)),
        ("failed", &backoff(2)),
        ("retrying", &backoff(2)),
        ("connected", &|state| {
            state == State::Connected { generation: 2 }
        }),
        ("lost", &backoff(3)),
        ("retrying", &backoff(3)),
        ("failed", &gave_up),
        ("gave up", &gave_up),
        ("closed", &|state| state == State::Closed),
    ];
    assert_eq!(states.len(), expected.len(), "{states:?}");
    for ((name, state), (expected, is_right)) in states.into_iter().zip(expected) {
        assert_eq!(name, expected);
        assert!(is_right(state), "{name}: {state:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_lived_longer_than_max_outage_gets_at_least_one_attempt() {
    // The delay is longer than an outage may last, too.
    for delay in [SECOND, 5 * SECOND] {
        let net = Net::new();
        let policy = Policy::default()
            .backoff(Backoff::constant(delay))
            .stable_after(10 * SECOND)
            .max_outage(3 * SECOND);
        let mut stream = build(&net, Seam::Hidden)
            .policy(policy)
            .connect()
            .await
            .unwrap();
        for generation in 1..=5 {
            sleep(4 * SECOND).await;
            net.peer(generation).reset();
            stream.write_all(b"x").await.unwrap();
            assert_eq!(net.attempts()[generation].1.number, 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_not_lived_longer_than_max_outage_continues_the_outage() {
    let net = Net::new();
    let policy = policy().stable_after(10 * SECOND).max_outage(3 * SECOND);
    let mut stream = build(&net, Seam::Hidden)
        .policy(policy)
        .connect()
        .await
        .unwrap();
    net.peer(1).reset();
    stream.write_all(b"x").await.unwrap();
    sleep(3 * SECOND / 2).await;
    net.peer(2).reset();
    assert!(has_given_up(&stream.write_all(b"x").await));
    assert_eq!(net.attempts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stream_moves_only_when_it_is_polled() {
    let net = Net::new();
    net.script([Outcome::Accepts, Outcome::AcceptsAfter(SECOND)]);
    let mut stream = connect(&net, Seam::Hidden).await;
    net.peer(1).reset();
    advance(HOUR).await;
    assert_eq!(stream.state(), State::Connected { generation: 1 });
    assert!(timeout(SECOND / 2, read(&mut stream)).await.is_err());
    advance(HOUR).await;
    tokio::task::yield_now().await;
    assert!(matches!(stream.state(), State::Backoff { .. }));
    assert_eq!(net.attempts().len(), 1);
    stream.write_all(b"x").await.unwrap();
    assert_eq!(net.peer(2).text(), "x");
}

#[tokio::test(start_paused = true)]
async fn connected_drives_a_stream_to_the_next_connection_without_moving_data() {
    let net = Net::new();
    net.script([Outcome::Refuses(ErrorKind::ConnectionRefused)])
        .greet(|_, peer| {
            peer.send("there");
        });
    let mut stream = build(&net, Seam::Error).lazy();
    assert_eq!(stream.connected().await.unwrap(), 1);
    assert_eq!(net.attempts().len(), 2);
    assert_eq!(net.peer(1).unread(), 5);
    assert_eq!(net.peer(1).count(Op::Read), 0);
    assert_eq!(net.peer(1).count(Op::Write), 0);
    assert_eq!(stream.connected().await.unwrap(), 1);
}

/// The delays between the attempts of an outage that is refused to its end.
async fn default_delays() -> Vec<Duration> {
    let net = Net::new();
    net.otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
    let mut stream = ReconnectingStream::builder(net.connector()).lazy();
    let error = stream.connected().await.unwrap_err();
    assert_eq!(support::gave_up(&error).unwrap().attempts, 100);
    let times: Vec<_> = net.attempts().into_iter().map(|(at, _)| at).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn by_default_there_are_100_attempts_with_full_jitter_between_10_ms_and_10_s() {
    // A timer of Tokio is up to a millisecond late.
    let late = Duration::from_millis(1);
    let runs: Vec<_> = futures::future::join_all((0..20).map(|_| default_delays())).await;
    for delays in &runs {
        assert_eq!(delays.len(), 99);
        for (index, delay) in (0..).zip(delays) {
            let most = Duration::from_millis(100).saturating_mul(1 << index.min(10));
            assert!(*delay <= most.min(10 * SECOND) + late, "{index}: {delay:?}");
            assert!(*delay >= Duration::from_millis(10), "{index}: {delay:?}");
        }
    }
    let firsts: std::collections::HashSet<_> = runs.iter().map(|delays| delays[0]).collect();
    assert!(firsts.len() > 1, "the first retry is jittered, too");
}

#[tokio::test(start_paused = true)]
async fn by_default_an_attempt_times_out_after_10_s() {
    let net = Net::new();
    net.script([Outcome::AcceptsAfter(10 * SECOND - SECOND / 10)])
        .otherwise(Outcome::AcceptsAfter(10 * SECOND + SECOND / 10));
    ReconnectingStream::connect(net.connector()).await.unwrap();
    let before = Instant::now();
    let connecting = ReconnectingStream::connect(net.connector()).await;
    assert_eq!(connecting.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(before.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn by_default_a_connection_is_stable_after_10_s_and_may_be_idle_for_ever() {
    let net = Net::new();
    let mut stream = ReconnectingStream::connect(net.connector()).await.unwrap();
    let uptimes = [SECOND, 10 * SECOND - SECOND / 10, 10 * SECOND];
    for (generation, (uptime, number)) in (1..).zip(uptimes.into_iter().zip([1, 2, 1])) {
        sleep(uptime).await;
        net.peer(generation).reset();
        stream.write_all(b"x").await.unwrap();
        let made = net.attempts()[generation].1.number;
        assert_eq!(made, number, "after {uptime:?}");
    }
    assert!(timeout(10_000 * HOUR, read(&mut stream)).await.is_err());
    assert_eq!(stream.state(), State::Connected { generation: 4 });
}
