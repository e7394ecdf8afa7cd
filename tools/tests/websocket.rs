//! The recipe `websocket`, with publishers that are killed, stopped, and refuse.
#![cfg(target_os = "linux")]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reconnecting_stream::{Backoff, Connect, Event, GaveUp, Policy, Verdict};
use reconnecting_stream_tools::program::{Program, free_port, tell};
use reconnecting_stream_tools::websocket::client::{Socket, Subscription, classify, subscribe};
use reconnecting_stream_tools::websocket::server::{self, Ending, TOKEN, message};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};

const DEADLINE: Duration = Duration::from_secs(60);
const MS: Duration = Duration::from_millis(1);
/// So long that nothing is done by it.
const NEVER: Duration = Duration::from_secs(3600);

fn quick() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(2 * MS))
        .stable_after(Duration::ZERO)
        // A busy machine needs seconds to restart a server.
        .max_attempts(None)
}

/// What a subscriber got.
#[derive(Debug, Default, PartialEq, Eq)]
struct Got {
    received: u64,
    wrong: u64,
    missing: u64,
    twice: u64,
}

impl Got {
    fn count(&mut self, text: &str, next: u64) -> u64 {
        let number = text.split(':').next().and_then(|word| word.parse().ok());
        let number: u64 = number.unwrap_or(0);
        self.received += 1;
        self.wrong += u64::from(text != message(number));
        self.missing += number.saturating_sub(next);
        self.twice += u64::from(number < next);
        next.max(number + 1)
    }
}

/// Reads until the last message is there; `meanwhile` comes before each one.
async fn read<C: Connect<Io = Socket>>(
    subscription: &mut Subscription<C>,
    messages: u64,
    mut meanwhile: impl FnMut(u64),
) -> Got {
    let (mut got, mut next) = (Got::default(), 1);
    while next <= messages {
        meanwhile(next);
        let text = timeout(DEADLINE, subscription.next()).await;
        next = got.count(&text.expect("it hangs").unwrap(), next);
    }
    got
}

fn published(messages: u64) -> Got {
    Got {
        received: messages,
        ..Got::default()
    }
}

#[tokio::test]
async fn each_way_to_lose_a_websocket_loses_no_message() {
    for ending in Ending::ALL {
        let listener = server::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            // The one that refuses has to accept by turns.
            let endings = if ending == Ending::Refuse {
                [Ending::Drop, Ending::Refuse]
            } else {
                [ending; 2]
            };
            server::run(listener, &endings, 1000).await
        });
        let heartbeat = if ending == Ending::Silence {
            20 * MS
        } else {
            NEVER
        };
        let events = Arc::new(Events::default());
        let seen = Arc::clone(&events);
        let observer = move |event: &Event| seen.count(event);
        let mut subscription = subscribe(address, TOKEN, heartbeat, quick(), observer)
            .await
            .unwrap();
        let got = read(&mut subscription, 1000, |_| ()).await;
        let seams = subscription.seams;
        let connections = subscription.close().await.unwrap();
        server.abort();
        tell(format_args!(
            "{ending:?}: {connections} connections, 1000 sent, {got:?}"
        ));
        assert_eq!(got, published(1000), "{ending:?}");
        assert_eq!((connections, seams), (10, 9), "{ending:?}");
        let failed = events.failed.load(Ordering::Relaxed);
        let refused = if ending == Ending::Refuse { 9 } else { 0 };
        assert_eq!(failed, refused, "{ending:?}");
    }
}

#[derive(Default)]
struct Events {
    failed: AtomicU32,
}

impl Events {
    fn count(&self, event: &Event) {
        if let Event::AttemptFailed { .. } = event {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_permanent_and_a_503_is_transient() {
    let listener = server::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let endings = [Ending::Refuse, Ending::Refuse, Ending::Drop];
    let server = tokio::spawn(async move { server::run(listener, &endings, 1).await });
    for (token, attempts) in [(TOKEN, 2), ("guessed", 1)] {
        let events = Arc::new(Events::default());
        let seen = Arc::clone(&events);
        let observer = move |event: &Event| seen.count(event);
        let subscribed = subscribe(address, token, NEVER, quick(), observer).await;
        assert_eq!(subscribed.is_ok(), token == TOKEN);
        assert_eq!(events.failed.load(Ordering::Relaxed), attempts, "{token}");
        if let Err(error) = subscribed {
            let gave_up = GaveUp::find(&error).unwrap();
            assert!(gave_up.last_error.to_string().contains("401"), "{error}");
        }
    }
    server.abort();
}

/// Set for the process that plays the server: its port.
const SERVER: &str = "RECONNECTING_STREAM_TEST_SERVER";
const PUBLISHED: u64 = 5000;

/// Not a test, but the server of one, in a process of its own: this file, run again.
#[tokio::test]
async fn this_process_is_the_server_if_a_test_started_it() {
    let Ok(port) = std::env::var(SERVER) else {
        return;
    };
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, port.parse().unwrap()).into();
    let listener = server::listen(address).unwrap();
    let endings = [Ending::Silence];
    server::run(listener, &endings, PUBLISHED).await.unwrap();
}

fn server_process_on(port: u16) -> Program {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "this_process_is_the_server_if_a_test_started_it",
            "--nocapture",
        ])
        .env(SERVER, port.to_string());
    Program::from_command(command, port)
}

/// Each connection falls silent after 100 messages, which the heartbeat finds out; the process is
/// killed, and stopped, in between.
#[tokio::test]
async fn a_publisher_that_is_killed_and_stopped_costs_no_message() {
    let program = Arc::new(Mutex::new(server_process_on(free_port())));
    let address = program.lock().unwrap().address();
    let stopped = Arc::clone(&program);
    let causes = Arc::new(Mutex::new(Vec::new()));
    let lost = Arc::clone(&causes);
    let observer = move |event: &Event| {
        if let Event::Lost { cause, .. } = event {
            lost.lock().unwrap().push(cause.kind());
            stopped.lock().unwrap().resume();
        }
    };
    let mut subscription = subscribe(address, TOKEN, 20 * MS, quick(), observer)
        .await
        .unwrap();
    let (mut kills, mut stops) = (0, 0);
    let got = read(&mut subscription, PUBLISHED, |number| {
        let mut program = program.lock().unwrap();
        match number % 500 {
            130 => {
                program.restart();
                kills += 1;
            }
            350 => {
                program.stop();
                stops += 1;
            }
            _ => {}
        }
    });
    let got = got.await;
    let connections = subscription.close().await.unwrap();
    let causes = causes.lock().unwrap();
    let silent = causes
        .iter()
        .filter(|kind| **kind == io::ErrorKind::TimedOut);
    let silent = silent.count();
    tell(format_args!(
        "{PUBLISHED} sent, {got:?}, {kills} kills, {stops} stops, {connections} connections, \
         {silent} lost by silence"
    ));
    assert_eq!(got, published(PUBLISHED));
    assert_eq!((kills, stops), (10, 10));
    assert!(silent >= stops, "{causes:?}");
}

#[test]
fn errors_of_a_websocket_are_classified() {
    let too_long = CapacityError::MessageTooLong {
        size: 2,
        max_size: 1,
    };
    assert_eq!(classify(&Error::Capacity(too_long)), Verdict::Surface);
    for error in [
        Error::ConnectionClosed,
        Error::AlreadyClosed,
        Error::Io(io::ErrorKind::ConnectionReset.into()),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
        Error::Protocol(ProtocolError::SendAfterClosing),
    ] {
        assert_eq!(classify(&error), Verdict::Lost, "{error}");
    }
}
