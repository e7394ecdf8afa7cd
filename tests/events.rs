//! What is told: events, states, log lines.

mod support;

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reconnecting_stream::{Backoff, Builder, Connect, Event, Policy, ReconnectingStream, State};
use support::{Network, Outcome, Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

/// Builds a stream whose events are written down as short lines.
fn observed<C: Connect<Io = Wire>>(connector: C) -> (Builder<C>, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&lines);
    let builder = ReconnectingStream::builder(connector)
        .policy(
            Policy::default()
                .backoff(Backoff::constant(SECOND))
                .max_attempts(3),
        )
        .on_event(move |event: &Event| written.lock().unwrap().push(line(event)));
    (builder, lines)
}

fn line(event: &Event) -> String {
    match event {
        Event::Lost {
            generation,
            cause,
            uptime,
            ..
        } => {
            format!("lost {generation} after {uptime:?}: {}", cause.kind())
        }
        Event::Retrying {
            attempt,
            delay,
            downtime,
            ..
        } => {
            format!("attempt {attempt} in {delay:?}, down for {downtime:?}")
        }
        Event::AttemptFailed {
            attempt,
            error,
            downtime,
            ..
        } => {
            format!(
                "attempt {attempt} failed, down for {downtime:?}: {}",
                error.kind()
            )
        }
        Event::Connected {
            generation,
            attempts,
            downtime,
            ..
        } => {
            format!("connected {generation} after {attempts} in {downtime:?}")
        }
        Event::GaveUp {
            attempts,
            outage,
            last_error,
            ..
        } => {
            format!(
                "gave up after {attempts} in {outage:?}: {}",
                last_error.kind()
            )
        }
        Event::Closed { .. } => "closed".to_owned(),
        other => panic!("{other:?}"),
    }
}

fn taken(lines: &Mutex<Vec<String>>) -> Vec<String> {
    std::mem::take(&mut lines.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_events_of_an_outage_run_from_the_loss_to_the_connection() {
    let network = Network::new();
    network.script([
        Outcome::Accepts,
        Outcome::Refuses(ErrorKind::ConnectionRefused),
    ]);
    let (builder, lines) = observed(network.connector());
    let mut stream = builder.connect().await.unwrap();
    sleep(60 * SECOND).await;
    network.peer(1).reset();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(
        taken(&lines),
        [
            "connected 1 after 0 in 0ns",
            "lost 1 after 60s: connection reset",
            "attempt 1 in 1s, down for 0ns",
            "attempt 1 failed, down for 1s: connection refused",
            "attempt 2 in 1s, down for 1s",
            "connected 2 after 2 in 2s",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_events_of_an_outage_run_to_the_giving_up_and_the_closing() {
    let network = Network::new();
    network.otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
    let (builder, lines) = observed(network.connector());
    let mut stream = builder.policy(Policy::default().max_attempts(1)).lazy();
    stream.write_all(b"x").await.unwrap_err();
    stream.handle().close();
    assert_eq!(stream.read(&mut [0; 4]).await.unwrap(), 0);
    assert_eq!(
        taken(&lines),
        [
            "attempt 1 failed, down for 0ns: connection refused",
            "gave up after 1 in 0ns: connection refused",
            "closed",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_on_demand_is_reported_as_a_loss() {
    let network = Network::new();
    let (builder, lines) = observed(network.connector());
    let mut stream = builder.connect().await.unwrap();
    stream.reconnect();
    stream.connected().await.unwrap();
    assert_eq!(
        taken(&lines)[1..],
        [
            "lost 1 after 0ns: connection aborted",
            "attempt 1 in 0ns, down for 0ns",
            "connected 2 after 1 in 0ns",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_watch_channel_follows_the_state() {
    let network = Network::new();
    network.script([
        Outcome::Accepts,
        Outcome::AcceptsAfter(SECOND),
        Outcome::Hangs,
    ]);
    let (builder, _) = observed(network.connector());
    let mut stream = builder.connect().await.unwrap();
    let handle = stream.handle();
    let mut states = handle.subscribe();
    let seen = tokio::spawn(async move {
        let mut seen = vec![*states.borrow_and_update()];
        while seen.last() != Some(&State::Closed) {
            states.changed().await.unwrap();
            seen.push(*states.borrow_and_update());
        }
        seen
    });
    network.peer(1).reset();
    stream.write_all(b"x").await.unwrap();
    network.peer(2).reset();
    assert!(timeout(3 * SECOND, stream.write_all(b"x")).await.is_err());
    assert_eq!(handle.state(), State::Connecting { attempt: 2 });
    drop(stream);
    let seen = seen.await.unwrap();
    let names: Vec<_> = seen
        .iter()
        .map(|state| match state {
            State::Connected { generation } => format!("connected {generation}"),
            State::Backoff { attempt, delay, .. } => format!("backoff {attempt} {delay:?}"),
            State::Connecting { attempt } => format!("connecting {attempt}"),
            State::GaveUp => "gave up".to_owned(),
            State::Closed => "closed".to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    // A watcher sees the latest state when it comes to look: here, whenever the writer waits.
    assert_eq!(
        names,
        [
            "backoff 1 1s",
            "connecting 1",
            "backoff 2 1s",
            "connecting 2",
            "closed"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_handle_made_later_knows_the_state() {
    let network = Network::new();
    network.otherwise(Outcome::Refuses(ErrorKind::ConnectionRefused));
    let (builder, _) = observed(network.connector());
    let mut stream = builder.lazy();
    stream.connected().await.unwrap_err();
    let handle = stream.handle();
    assert_eq!(handle.state(), State::GaveUp);
    assert_eq!(handle.clone().state(), State::GaveUp);
    handle.reconnect();
    network.otherwise(Outcome::Accepts);
    stream.connected().await.unwrap();
    assert_eq!(handle.state(), State::Connected { generation: 1 });
}
