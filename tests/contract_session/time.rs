//! Expiry, and what else the timers decide.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reconnecting_stream::{
    Backoff, Policy, ResumableStream, SessionLostReason, SessionOptions, Sessions,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep};

use crate::support::{Network, cut, pair, reason, settle, small, soon};

const TIME_TO_LIVE: Duration = Duration::from_secs(120);

#[tokio::test(start_paused = true)]
async fn both_ends_expire_after_the_time_to_live_without_a_connection() {
    let (mut client, mut server, network) = pair().await;
    server.write_all(b"x").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'x');
    let began = Instant::now();
    cut(&client, &network).await;
    client.write_all(b"lost").await.unwrap();
    let (a, b) = soon(async { tokio::join!(client.read_u8(), server.read_u8()) }).await;
    for error in [a.unwrap_err(), b.unwrap_err()] {
        assert_eq!(reason(&error), Some(SessionLostReason::Expired));
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
    assert!((TIME_TO_LIVE..TIME_TO_LIVE * 2).contains(&began.elapsed()));
    let error = client.write_all(b"x").await.unwrap_err();
    assert_eq!(reason(&error), Some(SessionLostReason::Expired));
    settle().await;
    assert!(network.sessions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_resumed_in_time_does_not_expire() {
    let (mut client, mut server, network) = pair().await;
    for _ in 0..5 {
        cut(&client, &network).await;
        client.write_all(b"x").await.unwrap();
        sleep(TIME_TO_LIVE - Duration::from_secs(1)).await;
        network.go_down(false);
        assert_eq!(soon(server.read_u8()).await.unwrap(), b'x');
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_gives_up_ends_the_session_as_expired() {
    let (network, mut streams) = Network::new(small());
    let policy = Policy::default().max_attempts(3);
    let mut client = network.builder().policy(policy).connect().await.unwrap();
    let _server = streams.recv().await.unwrap();
    cut(&client, &network).await;
    let error = soon(client.read_u8()).await.unwrap_err();
    assert_eq!(reason(&error), Some(SessionLostReason::Expired));
    assert!(reconnecting_stream::GaveUp::find(&error).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_restarted_rejects_the_session() {
    let (mut client, server, network) = pair().await;
    *network.sessions.lock().unwrap() = Sessions::new(small());
    client.handle().reconnect();
    let error = soon(client.read_u8()).await.unwrap_err();
    assert_eq!(reason(&error), Some(SessionLostReason::Rejected));
    let dials = network.dials();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(network.dials(), dials);
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_told_to_wait_waits_that_long_and_dials_again() {
    let (mut client, mut server, network) = {
        let (network, mut streams) = Network::new(small().max_resumes_per_second(1));
        let backoff = Backoff::constant(Duration::from_secs(7));
        let policy = Policy::default().backoff(backoff);
        let client = network.builder().policy(policy).connect().await.unwrap();
        (client, streams.recv().await.unwrap(), network)
    };
    server.write_all(b"x").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'x');
    client.handle().reconnect();
    settle().await;
    client.handle().reconnect();
    settle().await;
    let dials = network.dials();
    server.write_all(b"y").await.unwrap();
    let began = Instant::now();
    assert_eq!(soon(client.read_u8()).await.unwrap(), b'y');
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(network.dials(), dials + 1);
}

#[tokio::test(start_paused = true)]
async fn a_driver_sleeps_while_its_session_lingers_behind_a_dead_connection() {
    let (network, mut streams) = Network::new(small());
    let held = Arc::new(std::sync::Mutex::new(Vec::<DuplexStream>::new()));
    // The second connection is a black hole.
    let (holes, dials) = (held.clone(), Arc::new(AtomicUsize::new(0)));
    let inner = network.clone();
    let connector = move || {
        let (near, far) = duplex(64);
        let result = match dials.fetch_add(1, Ordering::SeqCst) {
            0 => inner.dial(),
            _ => Ok(crate::support::Pipe::new(near, (usize::MAX, usize::MAX))),
        };
        holes.lock().unwrap().push(far);
        std::future::ready(result)
    };
    let client = ResumableStream::builder(connector).options(small());
    let mut client = client.connect().await.unwrap();
    let mut server = streams.recv().await.unwrap();
    server.write_all(b"reply").await.unwrap();
    client.shutdown().await.unwrap();
    client.handle().reconnect();
    settle().await;
    drop(client);
    soon(sleep(TIME_TO_LIVE * 3)).await;
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn a_stream_dropped_after_its_shutdown_delivers_to_a_reader_that_is_slow() {
    let (mut client, mut server, _network) = pair().await;
    client.write_all(&[7; 30_000]).await.unwrap();
    // The end is queued: the shutdown does not have to be waited for.
    let shutdown = tokio::time::timeout(Duration::from_millis(1), client.shutdown());
    assert!(shutdown.await.is_err());
    drop(client);
    sleep(TIME_TO_LIVE * 2).await;
    let mut bytes = Vec::new();
    soon(server.read_to_end(&mut bytes)).await.unwrap();
    assert_eq!(bytes.len(), 30_000);
}

#[tokio::test(start_paused = true)]
async fn sessions_that_never_expire_are_evicted_too_and_long_tombstones_are_kept() {
    let options = SessionOptions::new()
        .time_to_live(Duration::MAX)
        .tombstone_lifetime(Duration::MAX)
        .memory_budget(64 * 1024);
    let (network, mut streams) = Network::new(options);
    let mut first = network.builder().connect().await.unwrap();
    let mut first_server = streams.recv().await.unwrap();
    cut(&first, &network).await;
    network.go_down(false);
    // Let the server see the end of the connection, and keep the first client away.
    network.go_down(true);
    settle().await;
    let second = network.clone();
    second.go_down(false);
    let error = {
        let _second = second.builder().connect().await.unwrap();
        soon(first_server.read_u8()).await.unwrap_err()
    };
    assert_eq!(reason(&error), Some(SessionLostReason::Evicted));
    let error = soon(first.read_u8()).await.unwrap_err();
    assert_eq!(reason(&error), Some(SessionLostReason::Evicted));
}
