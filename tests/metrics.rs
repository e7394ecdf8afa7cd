//! What an observer counts for the `metrics` facade.

mod support;

#[path = "metrics/counted.rs"]
mod counted;

use std::io::ErrorKind;
use std::time::Duration;

use counted::{Counted, count, numbers, runtime};
use metrics::{Unit, with_local_recorder};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use reconnecting_stream::{Backoff, Builder, Connect, Event, Metrics, Policy, ReconnectingStream};
use support::{Network, Outcome, Wire};
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);
const REFUSES: Outcome = Outcome::Refuses(ErrorKind::ConnectionRefused);

fn counting<C: Connect<Io = Wire>>(connector: C, mut metrics: Metrics) -> Builder<C> {
    ReconnectingStream::builder(connector)
        .policy(
            Policy::default()
                .backoff(Backoff::constant(SECOND))
                .max_attempts(3)
                .stable_after(10 * SECOND),
        )
        .on_event(move |event: &Event| metrics.record(event))
}

#[test]
fn a_history_is_counted_to_the_last_number() {
    let counted = count(async {
        let network = Network::new();
        network.script([
            Outcome::Accepts,
            // The first outage.
            REFUSES,
            Outcome::AcceptsAfter(SECOND / 2),
            Outcome::Accepts,
            // After the first giving up.
            Outcome::Accepts,
            REFUSES,
            REFUSES,
            REFUSES,
        ]);
        let mut stream = counting(network.connector(), Metrics::new("db"))
            .connect()
            .await
            .unwrap();
        sleep(60 * SECOND).await;
        network.peer(1).reset();
        stream.write_all(b"x").await.unwrap();
        for young in [2, 3] {
            sleep(4 * SECOND).await;
            network.peer(young).reset();
            // The second of them exhausts the attempts.
            assert_eq!(stream.write_all(b"x").await.is_ok(), young == 2);
        }
        sleep(100 * SECOND).await;
        stream.handle().reconnect();
        stream.connected().await.unwrap();
        sleep(20 * SECOND).await;
        network.peer(4).reset();
        stream.write_all(b"x").await.unwrap_err();
    });
    assert_eq!(
        counted.numbers,
        numbers([
            ("losses_total", 4),
            ("attempts_total", 7),
            ("attempts_failed_total", 4),
            ("connections_total", 4),
            ("given_up_total", 2),
            ("connected", 0),
        ])
    );
    assert_eq!(counted.outages, [0.0, 1.0, 2.5, 3.0]);
}

#[test]
fn a_reconnect_during_the_backoff_is_no_new_outage() {
    let counted = count(async {
        let network = Network::new();
        let mut stream = counting(network.connector(), Metrics::new("db"))
            .connect()
            .await
            .unwrap();
        network.peer(1).reset();
        let waits = timeout(SECOND / 4, stream.write_all(b"x")).await;
        assert!(waits.is_err());
        stream.reconnect();
        stream.connected().await.unwrap();
    });
    assert_eq!(counted.outages, [0.25]);
    assert_eq!(counted.number("losses_total"), 1.0);
    assert_eq!(counted.number("connected"), 0.0, "dropped");
}

#[test]
fn a_reconnect_on_demand_is_a_loss() {
    let counted = count(async {
        let network = Network::new();
        let mut stream = counting(network.connector(), Metrics::new("db")).wrap(Wire::new().0);
        stream.reconnect();
        stream.connected().await.unwrap();
    });
    assert_eq!(counted.outages, [0.0]);
    assert_eq!(
        counted.numbers,
        numbers([
            ("losses_total", 1),
            ("attempts_total", 1),
            ("attempts_failed_total", 0),
            ("connections_total", 2),
            ("given_up_total", 0),
            ("connected", 0),
        ])
    );
}

#[test]
fn what_precedes_the_first_connection_is_no_outage() {
    let counted = count(async {
        let network = Network::new();
        network.script([REFUSES, Outcome::Accepts]);
        let mut stream = counting(network.connector(), Metrics::new("db")).lazy();
        assert_eq!(stream.connected().await.unwrap(), 1);
    });
    assert_eq!(counted.outages, [] as [f64; 0]);
    assert_eq!(
        counted.numbers,
        numbers([
            ("losses_total", 0),
            ("attempts_total", 2),
            ("attempts_failed_total", 1),
            ("connections_total", 1),
            ("given_up_total", 0),
            ("connected", 0),
        ])
    );

    let counted = count(async {
        let network = Network::new();
        network.otherwise(REFUSES);
        let mut stream = counting(network.connector(), Metrics::new("db")).lazy();
        stream.connected().await.unwrap_err();
    });
    assert_eq!(counted.outages, [] as [f64; 0]);
    assert_eq!(counted.number("attempts_failed_total"), 3.0);
    assert_eq!(counted.number("given_up_total"), 1.0);
}

#[test]
fn an_outage_that_is_closed_has_no_length() {
    let counted = count(async {
        let network = Network::new();
        network.script([Outcome::Accepts, Outcome::Hangs]);
        let mut stream = counting(network.connector(), Metrics::new("db"))
            .connect()
            .await
            .unwrap();
        network.peer(1).reset();
        let waits = timeout(2 * SECOND, stream.write_all(b"x")).await;
        assert!(waits.is_err());
        stream.handle().close();
        stream.write_all(b"x").await.unwrap_err();
    });
    assert_eq!(counted.outages, [] as [f64; 0]);
    assert_eq!(counted.number("losses_total"), 1.0);
    assert_eq!(counted.number("attempts_total"), 0.0, "it was cut off");
}

#[test]
fn the_gauge_is_right_when_connected_lost_closed_and_dropped() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let connected = || Counted::of(&snapshotter).number("connected");
    with_local_recorder(&recorder, || {
        runtime().block_on(async {
            let metrics = Metrics::new("db");
            assert_eq!(connected(), 0.0);

            let network = Network::new();
            network.script([Outcome::Accepts, Outcome::Hangs]);
            let connect = |metrics| counting(network.connector(), metrics).connect();
            let mut stream = connect(metrics.clone()).await.unwrap();
            assert_eq!(connected(), 1.0);

            network.peer(1).reset();
            let waits = timeout(2 * SECOND, stream.write_all(b"x")).await;
            assert!(waits.is_err());
            assert_eq!(connected(), 0.0);

            let mut closed = connect(metrics.clone()).await.unwrap();
            let dropped = connect(metrics.clone()).await.unwrap();
            let stays = connect(metrics).await.unwrap();
            assert_eq!(connected(), 3.0, "clones share it");

            closed.handle().close();
            closed.write_all(b"x").await.unwrap_err();
            assert_eq!(connected(), 2.0);
            drop((closed, stream));
            drop(dropped);
            assert_eq!(connected(), 1.0);
            drop(stays);
            assert_eq!(connected(), 0.0);
        });
    });
}

#[test]
fn nothing_is_counted_without_a_recorder_and_a_later_one_is_used() {
    let runtime = runtime();
    let network = Network::new();
    let mut stream = runtime.block_on(async {
        let mut stream = counting(network.connector(), Metrics::new("db"))
            .connect()
            .await
            .unwrap();
        network.peer(1).reset();
        stream.write_all(b"x").await.unwrap();
        stream
    });
    let recorder = DebuggingRecorder::new();
    let counted = with_local_recorder(&recorder, || {
        runtime.block_on(async {
            sleep(20 * SECOND).await;
            network.peer(2).reset();
            stream.write_all(b"x").await.unwrap();
            Counted::of(&recorder.snapshotter())
        })
    });
    assert_eq!(
        counted.numbers,
        numbers([
            ("losses_total", 1),
            ("attempts_total", 1),
            ("connections_total", 1),
            ("connected", 1),
            ("attempts_failed_total", 0),
            ("given_up_total", 0),
        ])
        .into_iter()
        .filter(|(_, n)| *n > 0.0)
        .collect()
    );
    assert_eq!(counted.outages, [1.0]);
}

#[test]
fn every_metric_is_described_and_the_counters_are_there_from_the_start() {
    let recorder = DebuggingRecorder::new();
    let metrics = with_local_recorder(&recorder, || Metrics::new("db"));
    let snapshot = recorder.snapshotter().snapshot().into_vec();
    assert_eq!(snapshot.len(), 6);
    for (key, unit, description, value) in snapshot {
        let name = key.key().name().to_owned();
        let is_counter = value == DebugValue::Counter(0);
        assert_eq!(name.ends_with("_total"), is_counter, "{name}");
        assert!(
            name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{name}"
        );
        assert_eq!(unit, Some(Unit::Count), "{name}");
        assert!(description.is_some(), "{name}");
    }
    drop(metrics);

    let recorder = DebuggingRecorder::new();
    with_local_recorder(&recorder, || {
        runtime().block_on(async {
            let network = Network::new();
            let mut stream = counting(network.connector(), Metrics::new("db")).lazy();
            stream.connected().await.unwrap();
            stream.reconnect();
            stream.connected().await.unwrap();
        });
    });
    let units: Vec<_> = recorder
        .snapshotter()
        .snapshot()
        .into_vec()
        .into_iter()
        .filter(|(key, ..)| key.key().name() == "reconnecting_stream_outage_seconds")
        .map(|(_, unit, description, _)| (unit, description.is_some()))
        .collect();
    assert_eq!(units, [(Some(Unit::Seconds), true)]);
}
