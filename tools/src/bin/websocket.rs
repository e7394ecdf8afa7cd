//! A WebSocket subscription that continues on the next connection and misses no message.
//!
//! `cargo run --bin websocket` starts a publisher on a loopback port, which resets its
//! subscribers, drops them, sends them a `Close` frame, falls silent, and answers the handshake
//! with 503, by turns. `client.rs` is worth copying:
//!
//! | what | where |
//! |---|---|
//! | the TCP and WebSocket handshakes, the password, the subscription | in the connector, so that every connection has them, under the attempt timeout |
//! | where to continue | the connector sends the number of the last message that arrived |
//! | 503, or 401 | `refused`: the one is tried again, the other is `Permanent` |
//! | which errors of tungstenite end a connection | `classify` |
//! | a server that is silent, or gone without a FIN | a ping now and then, and the idle timeout |
//!
//! The example ends with its counts, and fails if a message is missing, came twice, or is wrong.

use std::error::Error;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reconnecting_stream::{Backoff, Event, Policy};
use tokio::time::timeout;

use reconnecting_stream_tools::websocket::client::subscribe;
use reconnecting_stream_tools::websocket::server::{self, Ending, TOKEN, message};

const MESSAGES: u64 = 2000;
const HEARTBEAT: Duration = Duration::from_millis(50);
/// Nothing here takes that long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    timeout(DEADLINE, example())
        .await
        .unwrap_or_else(|_| Err(format!("not over within {DEADLINE:?}").into()))
}

/// What the subscriber has gone through.
#[derive(Default)]
struct Tally {
    silences: AtomicU32,
    refusals: AtomicU32,
}

impl Tally {
    fn count(&self, event: &Event) {
        let counter = match event {
            Event::Lost { cause, .. } if cause.kind() == ErrorKind::TimedOut => &self.silences,
            Event::AttemptFailed { .. } => &self.refusals,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

async fn example() -> Result<(), Box<dyn Error>> {
    let listener = server::listen((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(server::run(listener, &Ending::ALL, MESSAGES));
    let tally = Arc::new(Tally::default());
    let seen = Arc::clone(&tally);
    let backoff = Backoff::exponential(Duration::from_millis(10)).max(Duration::from_millis(50));
    // Otherwise all of it is one outage, since no connection lasts here.
    let policy = Policy::default()
        .backoff(backoff)
        .stable_after(Duration::ZERO);
    let observer = move |event: &Event| seen.count(event);
    let mut subscription = subscribe(address, TOKEN, HEARTBEAT, policy, observer).await?;
    for number in 1..=MESSAGES {
        let arrived = subscription.next().await?;
        // One that is missing, or torn, or came twice.
        if arrived != message(number) {
            return Err(format!("expected message {number}, got {arrived:?}").into());
        }
    }
    let seams = subscription.seams;
    let connections = subscription.close().await?;
    server.abort();
    let silences = tally.silences.load(Ordering::Relaxed);
    let refusals = tally.refusals.load(Ordering::Relaxed);
    println!("{connections:6} connections");
    println!("{seams:6} lost");
    println!("{silences:6} of them silent");
    println!("{refusals:6} handshakes refused");
    println!("{MESSAGES:6} messages received, all of them whole, once, and in order");
    if seams == 0 || silences == 0 || refusals == 0 {
        return Err("the server injected no fault".into());
    }
    Ok(())
}
