//! Connectors made of connectors.

mod support;

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reconnecting_stream::{
    Backoff, BoxConnector, Connect, Permanent, Policy, ReconnectingStream, Seam, State,
};
use support::{Network, Outcome, Wire, gave_up};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> Policy {
    Policy::default().backoff(Backoff::constant(SECOND))
}

/// Says the password, and looks at the answer.
async fn login(mut wire: Wire, password: String) -> io::Result<Wire> {
    wire.write_all(password.as_bytes()).await?;
    match wire.read_u8().await? {
        b'+' => Ok(wire),
        b'!' => Err(Permanent::new("wrong password").into()),
        answer => Err(io::Error::other(format!("unexpected {answer}"))),
    }
}

/// A network whose peers answer a login with these, by turns, and then with `+`.
fn answering(answers: &'static [u8]) -> Network {
    let network = Network::new();
    network.greet(move |generation, peer| {
        peer.send(&[answers.get(generation - 1).copied().unwrap_or(b'+')]);
    });
    network
}

fn logged_in(network: &Network) -> impl Connect<Io = Wire, Future: Send> + Send + use<> {
    let password = "sesame".to_owned();
    let connector = network.connector();
    connector.and_then(move |wire| async move { login(wire, password).await })
}

#[tokio::test(start_paused = true)]
async fn a_login_is_made_on_every_connection() {
    let network = answering(b"");
    let mut stream = ReconnectingStream::builder(logged_in(&network))
        .policy(policy())
        .connect()
        .await
        .unwrap();
    for generation in 1..=3 {
        assert_eq!(stream.connected().await.unwrap(), generation as u64);
        assert_eq!(network.peer(generation).received(), b"sesame");
        stream.reconnect();
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_fails_is_an_attempt_that_failed() {
    let network = answering(b"??+");
    let mut stream = ReconnectingStream::builder(logged_in(&network))
        .policy(policy())
        .lazy();
    let start = Instant::now();
    assert_eq!(stream.connected().await.unwrap(), 1);
    assert_eq!(start.elapsed(), 2 * SECOND);
    assert_eq!(network.connections(), 3);
    assert_eq!(network.open(), 1, "a connection without a login is dropped");
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_refused_for_good_gives_up() {
    let network = answering(b"!");
    let mut stream = ReconnectingStream::builder(logged_in(&network))
        .policy(policy())
        .lazy();
    let error = stream.connected().await.unwrap_err();
    assert_eq!(gave_up(&error).unwrap().attempts, 1);
    assert!(error.to_string().ends_with("wrong password"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_during_the_login_is_an_attempt_that_failed() {
    let network = Network::new();
    network.greet(|generation, peer| match generation {
        1 => peer.reset(),
        2 => peer.close(),
        _ => peer.send(b"+"),
    });
    let mut stream = ReconnectingStream::builder(logged_in(&network))
        .policy(policy())
        .seam(Seam::Error)
        .lazy();
    stream.write_all(b"!").await.unwrap();
    assert_eq!(network.peer(3).received(), b"sesame!");
    assert_eq!(stream.generation(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_attempt_timeout_covers_the_login() {
    let network = Network::new();
    let connector = network.connector().and_then(|wire| login(wire, "?".into()));
    let mut stream = ReconnectingStream::builder(connector)
        .policy(policy().attempt_timeout(3 * SECOND).max_attempts(2))
        .lazy();
    let start = Instant::now();
    let error = stream.connected().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), 3 * SECOND + SECOND + 3 * SECOND);
    assert_eq!(network.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_step_has_its_own_timeout() {
    let network = Network::new();
    network.script([Outcome::Hangs, Outcome::AcceptsAfter(SECOND)]);
    let connector = network.connector().timeout(2 * SECOND).map(|wire| wire);
    let mut stream = ReconnectingStream::builder(connector)
        .policy(policy())
        .lazy();
    let start = Instant::now();
    stream.connected().await.unwrap();
    assert_eq!(start.elapsed(), 2 * SECOND + SECOND + SECOND);
    let error = network.attempts()[1].attempt.last_error.clone().unwrap();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "the step did not complete within 2s");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_covers_the_steps_before_it_and_not_those_after() {
    let slow = |wire: Wire| async move {
        sleep(3 * SECOND).await;
        Ok(wire)
    };
    let network = Network::new();
    let after = network.connector().timeout(2 * SECOND).and_then(slow);
    assert!(ReconnectingStream::connect(after).await.is_ok());
    let before = network.connector().and_then(slow).timeout(2 * SECOND);
    let error = ReconnectingStream::connect(before).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_zero_is_a_millisecond_and_one_without_end_is_none() {
    let network = Network::new();
    network.otherwise(Outcome::AcceptsAfter(SECOND));
    for (limit, connects) in [(Duration::ZERO, false), (Duration::MAX, true)] {
        let connected = ReconnectingStream::connect(network.connector().timeout(limit)).await;
        assert_eq!(connected.is_ok(), connects);
    }
}

#[tokio::test(start_paused = true)]
async fn a_mapping_is_applied_to_every_connection() {
    let network = Network::new();
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let connector = network.connector().map(move |wire| {
        count.fetch_add(1, Ordering::Relaxed);
        BufStream::new(wire)
    });
    let mut stream = ReconnectingStream::builder(connector)
        .policy(policy())
        .connect()
        .await
        .unwrap();
    stream
        .write_all(b"kept in a buffer that dies")
        .await
        .unwrap();
    network.peer(1).reset();
    assert!(stream.flush().await.is_ok());
    stream.write_all(b"next").await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(network.peer(2).received(), b"next");
    assert_eq!(made.load(Ordering::Relaxed), 2);
}

/// A field whose type can be written.
struct Client {
    stream: ReconnectingStream<BoxConnector<Wire>>,
}

const _: () = {
    const fn assert_auto_traits<T: Send + Sync + Unpin>() {}
    assert_auto_traits::<ReconnectingStream<BoxConnector<Wire>>>();
};

#[tokio::test(start_paused = true)]
async fn a_boxed_connector_does_what_the_one_inside_does() {
    let network = answering(b"?!");
    let connector = logged_in(&network).boxed();
    let mut client = Client {
        stream: ReconnectingStream::builder(connector)
            .policy(policy())
            .lazy(),
    };
    let error = client.stream.connected().await.unwrap_err();
    assert_eq!(gave_up(&error).unwrap().attempts, 2);
    assert_eq!(network.attempts()[1].attempt.number, 2);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_in_the_middle_of_a_step_leaves_nothing() {
    let network = Network::new();
    let connector = network.connector().and_then(|wire| login(wire, "?".into()));
    let mut stream = ReconnectingStream::builder(connector.boxed()).lazy();
    let connecting = tokio::time::timeout(SECOND, stream.connected()).await;
    assert!(connecting.is_err());
    assert_eq!(stream.state(), State::Connecting { attempt: 1 });
    assert_eq!(network.open(), 1);
    drop(stream);
    assert_eq!(network.open(), 0);
}
