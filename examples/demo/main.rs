//! A client that goes on working while its server fails it in every way a TCP server can.
//!
//! `cargo run --example demo` starts a server on a loopback port, and a client that sends it one
//! numbered request after another. The server injects its faults by turns, three times each:
//!
//! | the server | the client sees | and gets over it by |
//! |---|---|---|
//! | resets the connection instead of answering | a reset | a new connection |
//! | closes the connection after half an answer | the end of the stream | dropping the half, a new connection |
//! | crashes: the connection is reset, the port refuses | a reset, refused attempts | waiting longer from attempt to attempt |
//! | falls silent and keeps the connection | nothing at all | the idle timeout |
//! | accepts the next connection and says nothing | an attempt that hangs | the attempt timeout |
//!
//! Noticing, waiting and dialing is the work of the `ReconnectingStream`. The client's own part
//! is small, because it asked for `Seam::Error`: each lost connection is an error that says
//! whether the request in flight has to be sent again (`Client::ask`). The client is in
//! `client.rs`, and the server with its faults in `server.rs`.
//!
//! The demo ends with what it went through. It fails if an answer was wrong or a fault did not
//! happen.

mod client;
mod server;

use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use reconnecting_stream::Event;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::server::Server;

/// How often each fault happens.
const ROUNDS: u32 = 3;
/// How many requests are answered between two faults.
const REQUESTS: u32 = 10;
/// How long the client rests after each.
const PACE: Duration = Duration::from_millis(20);
/// How many attempts a crashed server refuses before it is back.
const REFUSALS: u32 = 3;
/// Nothing here takes that long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    timeout(DEADLINE, demo())
        .await
        .unwrap_or_else(|_| Err(format!("not over within {DEADLINE:?}").into()))
}

async fn demo() -> Result<(), Box<dyn Error>> {
    let console = Console(Instant::now());
    let (tally, seen) = watch::channel(Tally::default());
    let listener = server::listen()?;
    let address = listener.local_addr()?;
    let server = Server::new(address, seen.clone(), console);
    let script = tokio::spawn(server.run(listener));
    let mut client = client::connect(address, tally, console).await?;
    while !script.is_finished() {
        client.ask().await?;
        sleep(PACE).await;
    }
    script.await??;
    let work = client.finish().await?;
    let tally = *seen.borrow();
    println!("\nall answers were right, in spite of it all:\n\n{tally}{work}");
    tally.check()
}

/// What the client has seen of its server, counted from the events of its stream.
#[derive(Clone, Copy, Default)]
struct Tally {
    connections: u32,
    resets: u32,
    closes: u32,
    silences: u32,
    refused: u32,
    stalled: u32,
    failed_otherwise: u32,
}

impl Tally {
    fn count(&mut self, event: &Event) {
        let counter = match event {
            Event::Connected { .. } => &mut self.connections,
            Event::Lost { cause, .. } => match cause.kind() {
                ErrorKind::ConnectionReset => &mut self.resets,
                ErrorKind::UnexpectedEof => &mut self.closes,
                ErrorKind::TimedOut => &mut self.silences,
                _ => return,
            },
            Event::AttemptFailed { error, .. } => match error.kind() {
                ErrorKind::ConnectionRefused => &mut self.refused,
                ErrorKind::TimedOut => &mut self.stalled,
                _ => &mut self.failed_otherwise,
            },
            _ => return,
        };
        *counter += 1;
    }

    /// Whether every fault has really happened.
    fn check(&self) -> Result<(), Box<dyn Error>> {
        let expected = [
            ("resets", self.resets, ROUNDS),
            ("closes", self.closes, ROUNDS),
            ("refused attempts", self.refused, ROUNDS * REFUSALS),
            ("silences", self.silences, ROUNDS),
            ("stalled attempts", self.stalled, ROUNDS),
        ];
        match expected.iter().find(|(_, seen, least)| seen < least) {
            Some((what, seen, least)) => Err(format!("{seen} {what}, expected {least}").into()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.refused + self.stalled + self.failed_otherwise;
        writeln!(f, "{:6} connections", self.connections)?;
        writeln!(f, "{:6} attempts", self.connections + failed)?;
        writeln!(f, "{failed:6} failed attempts")?;
        writeln!(f, "{:6} of them refused", self.refused)?;
        writeln!(f, "{:6} of them stalled", self.stalled)?;
        writeln!(f, "{:6} resets survived", self.resets)?;
        writeln!(f, "{:6} closes survived", self.closes)?;
        writeln!(f, "{:6} silences survived", self.silences)
    }
}

/// Prints what happens, and how long after the start.
#[derive(Clone, Copy)]
struct Console(Instant);

impl Console {
    fn say(self, who: &str, what: impl fmt::Display) {
        println!("{:7.3} s  {who}  {what}", self.0.elapsed().as_secs_f64());
    }
}
