//! What sessions count for a recorder.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use reconnecting_stream::{ResumableStream, SessionOptions, Sessions, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::{sleep, timeout};

use crate::support::{Server, options, quick};

/// Each metric with its labels, and its value.
type Counted = BTreeMap<String, f64>;

/// What was counted so far. The debugging recorder sets all values to zero when it takes a snapshot.
struct Tally {
    snapshotter: Snapshotter,
    total: Counted,
}

impl Tally {
    fn read(&mut self) -> Counted {
        for (key, _, _, value) in self.snapshotter.snapshot().into_vec() {
            let labels = key.key().labels();
            let labels: Vec<_> = labels.map(|label| format!(" {}", label.value())).collect();
            let name = key.key().name().strip_prefix("reconnecting_stream_");
            let value = match value {
                DebugValue::Counter(n) => f64::from(u32::try_from(n).unwrap()),
                DebugValue::Gauge(n) => n.into_inner(),
                DebugValue::Histogram(_) => panic!("there is none"),
            };
            let name = format!("{}{}", name.unwrap(), labels.concat());
            *self.total.entry(name).or_insert(0.0) += value;
        }
        self.total.retain(|_, value| *value != 0.0);
        self.total.clone()
    }
}

fn run<F: Future<Output = ()>>(test: impl FnOnce(Tally) -> F) {
    let recorder = DebuggingRecorder::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let tally = Tally {
        snapshotter: recorder.snapshotter(),
        total: Counted::new(),
    };
    with_local_recorder(&recorder, || runtime.block_on(test(tally)));
}

fn counted<const N: usize>(expected: [(&str, f64); N]) -> Counted {
    expected
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

#[test]
fn a_session_is_counted_from_its_begin_to_its_end_at_both_ends() {
    run(|mut tally| async move {
        let (server, mut streams) = Server::new(options());
        let (mut client, mut accepted) = server.begin(&mut streams).await;
        let begun = counted([("sessions client", 1.0), ("sessions server", 1.0)]);
        assert_eq!(tally.read(), begun);

        server.refuse(true);
        server.cut();
        while accepted.state() != State::Detached {
            sleep(Duration::from_millis(1)).await;
        }
        let detached = counted([
            ("sessions client", 1.0),
            ("sessions server", 1.0),
            ("sessions_detached client", 1.0),
            ("sessions_detached server", 1.0),
        ]);
        assert_eq!(tally.read(), detached);

        server.refuse(false);
        client.write_all(b"x").await.unwrap();
        assert_eq!(accepted.read_u8().await.unwrap(), b'x');
        let resumed = counted([
            ("sessions client", 1.0),
            ("sessions server", 1.0),
            ("sessions_resumed_total client", 1.0),
            ("sessions_resumed_total server", 1.0),
        ]);
        assert_eq!(tally.read(), resumed);

        let (one, other) = tokio::join!(client.shutdown(), accepted.shutdown());
        one.and(other).unwrap();
        drop((client, accepted));
        sleep(Duration::from_secs(5)).await;
        let ended = counted([
            ("sessions_resumed_total client", 1.0),
            ("sessions_resumed_total server", 1.0),
            ("sessions_ended_total client complete", 1.0),
            ("sessions_ended_total server complete", 1.0),
        ]);
        assert_eq!(tally.read(), ended);
    });
}

#[test]
fn bytes_that_are_sent_again_and_writes_that_wait_are_counted() {
    run(|mut tally| async move {
        let (server, mut streams) = Server::new(options().send_buffer(1000));
        let (_client, mut accepted) = server.begin(&mut streams).await;
        // The connection takes them, and is cut before it delivers anything.
        accepted.write_all(&[7; 1000]).await.unwrap();
        let full = timeout(Duration::ZERO, accepted.write_all(&[8; 1000])).await;
        assert!(full.is_err());
        let waits = tally.read();
        assert_eq!(waits["window_full_total server"], 1.0);
        server.cut();
        accepted.write_all(&[8; 1000]).await.unwrap();
        let all = tally.read();
        assert!(
            all.get("replayed_bytes_total server") > Some(&0.0),
            "{all:?}"
        );
    });
}

#[test]
fn what_a_server_refuses_and_what_expires_is_counted() {
    run(|mut tally| async move {
        let options = options()
            .max_sessions(1)
            .time_to_live(Duration::from_secs(1));
        let (server, mut streams) = Server::new(options);
        let (client, accepted) = server.begin(&mut streams).await;
        let second = server.clone();
        let refused = ResumableStream::connect(move || second.connect()).await;
        refused.unwrap_err();
        assert_eq!(tally.read()["handshakes_refused_total busy"], 1.0);

        server.refuse(true);
        server.cut();
        sleep(Duration::from_secs(100)).await;
        let expired = tally.read();
        assert_eq!(expired["sessions_ended_total server expired"], 1.0);
        assert_eq!(expired.get("sessions server"), None);
        assert_eq!(expired.get("sessions_detached server"), None);

        // A server that was restarted knows no session.
        let (other, mut streams) = Server::new(SessionOptions::default());
        let (client_of_other, server_of_other) = other.begin(&mut streams).await;
        let restarted = Sessions::new(SessionOptions::default());
        *other.sessions.lock().unwrap() = restarted;
        other.cut();
        sleep(Duration::from_secs(10)).await;
        let rejected = tally.read();
        assert_eq!(rejected["handshakes_refused_total rejected"], 1.0);
        assert_eq!(rejected["sessions_ended_total client rejected"], 1.0);
        drop((client, accepted, client_of_other, server_of_other));
    });
}

/// A HELLO without metadata, of this version.
fn hello(version: u8) -> [u8; 18] {
    [
        1, 0, 15, b'R', b'S', b'S', version, 1, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0,
    ]
}

#[test]
fn a_session_that_its_client_has_not_confirmed_is_not_counted() {
    run(|mut tally| async move {
        let sessions = Sessions::new(options());
        for _ in 0..5 {
            let (mut client, io) = duplex(4096);
            client.write_all(&hello(b'1')).await.unwrap();
            let hang_up = async {
                client.read_exact(&mut [0; 64]).await.unwrap();
                drop(client);
            };
            let (accepted, ()) = tokio::join!(sessions.accept(io), hang_up);
            accepted.unwrap_err();
        }
        assert_eq!(tally.read(), counted([]));
        // They expire.
        sleep(Duration::from_secs(200)).await;
        assert_eq!(tally.read(), counted([]));
    });
}

#[test]
fn a_client_of_another_version_is_counted_as_refused() {
    run(|mut tally| async move {
        let sessions = Sessions::new(options());
        let (mut client, io) = duplex(4096);
        client.write_all(&hello(b'2')).await.unwrap();
        let read_answer = async {
            client.read_exact(&mut [0; 9]).await.unwrap();
            drop(client);
        };
        let (accepted, ()) = tokio::join!(sessions.accept(io), read_answer);
        accepted.unwrap_err();
        let refused = counted([("handshakes_refused_total rejected", 1.0)]);
        assert_eq!(tally.read(), refused);
    });
}

/// A recorder whose first gauge of a server panics.
struct Panics(AtomicBool);

impl Recorder for Panics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let is_of_server = key.labels().any(|label| label.value() == "server");
        let is_first = is_of_server && !self.0.swap(true, Ordering::SeqCst);
        assert!(!is_first, "of a recorder, as the test wants it");
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn a_recorder_that_panics_takes_no_place_of_a_session() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let panics = Panics(AtomicBool::new(false));
    let test = async {
        let (server, mut streams) = Server::new(options().max_sessions(1));
        let connecting = server.clone();
        let mut client = ResumableStream::builder(move || connecting.connect())
            .policy(quick())
            .retry_initial_connect(true)
            .connect()
            .await
            .unwrap();
        client.write_all(b"x").await.unwrap();
        let mut accepted = streams.recv().await.unwrap();
        assert_eq!(accepted.read_u8().await.unwrap(), b'x');
    };
    let test = async { timeout(Duration::from_secs(60), test).await.unwrap() };
    with_local_recorder(&panics, || runtime.block_on(test));
    assert!(panics.0.load(Ordering::SeqCst), "the first gauge panicked");
}
