//! Two people who chat through a server that keeps resetting their connections.
//!
//! `cargo run --bin chat` starts the server on a loopback port, and ann and bob, who each send
//! [`MESSAGES`] messages and receive all messages of both. The server resets their connections
//! by turns in the middle of a message that it writes, and while it does not read what they
//! write. Nothing is torn, nothing is missing, nothing is shown twice:
//!
//! | what happens | what handles it, and how |
//! |---|---|
//! | half of a message has arrived | `ReconnectingFramed` drops the half |
//! | half of a message has left | `ReconnectingFramed` sends it again, whole |
//! | messages were sent, and it is unknown whether they arrived | [`Resend::Unconfirmed`](reconnecting_stream::Resend::Unconfirmed) keeps them until the server says `got 20`, and sends the others again |
//! | so a message arrives twice | each has a number: the server shows it once |
//! | messages from the server got lost | the login says which was the last to arrive |
//!
//! The last three are worth copying. They are what a protocol needs in order not to lose
//! anything: numbers, acknowledgements, and a login that says where to continue. The file
//! `protocol.rs` has the lines that are sent, `client.rs` what is done with the library, and
//! `server.rs` is a plain server without it.
//!
//! The example ends with what it has counted, and fails if anything is torn or missing.

mod client;
mod protocol;
mod server;

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use crate::client::Report;
use crate::server::{RESETS, Room};

type Failure = Box<dyn Error + Send + Sync>;

/// How many messages each of the two sends.
const MESSAGES: usize = 1000;
/// Nothing here takes that long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    timeout(DEADLINE, chat())
        .await
        .unwrap_or_else(|_| Err(format!("not over within {DEADLINE:?}").into()))
}

async fn chat() -> Result<(), Failure> {
    let console = Console(Instant::now());
    let listener = server::listen()?;
    let address = listener.local_addr()?;
    let (room, mut seen) = watch::channel(Room::default());
    let server = tokio::spawn(server::run(listener, room, console));
    let both = async {
        tokio::try_join!(
            client::chat("ann", address, console),
            client::chat("bob", address, console),
        )
    };
    let (ann, bob) = tokio::select! {
        both = both => both?,
        // It would be waited for in vain.
        room = seen.wait_for(|room| room.torn + room.missing > 0) => {
            let Room { torn, missing, .. } = &*room?;
            return Err(format!("{torn} messages to the server torn, {missing} missing").into());
        }
    };
    server.abort();
    let summary = Summary::new(&seen.borrow(), &[ann, bob]);
    println!("\n{summary}");
    summary.check()
}

/// What has happened on all sides.
struct Summary {
    sent: usize,
    shown: usize,
    received: usize,
    torn: usize,
    missing: usize,
    twice_at_server: usize,
    twice_at_clients: usize,
    connections: usize,
    resets: usize,
    halves: usize,
}

impl Summary {
    fn new(room: &Room, reports: &[Report]) -> Self {
        let total = |count: fn(&Report) -> usize| reports.iter().map(count).sum::<usize>();
        Self {
            sent: total(|report| report.sent),
            shown: room.shown(),
            received: total(|report| report.received),
            torn: room.torn + total(|report| report.torn),
            missing: room.missing + total(|report| report.missing),
            twice_at_server: room.twice,
            twice_at_clients: total(|report| report.twice),
            connections: total(|report| report.connections),
            resets: room.resets(),
            halves: room.halves,
        }
    }

    /// Whether everything arrived, in spite of as many resets as there should have been.
    fn check(&self) -> Result<(), Failure> {
        let expected = [
            ("messages sent", self.sent, 2 * MESSAGES),
            ("messages shown", self.shown, 2 * MESSAGES),
            // Each of the two reads what both have said.
            ("messages received", self.received, 4 * MESSAGES),
            ("messages torn", self.torn, 0),
            ("messages missing", self.missing, 0),
            ("resets", self.resets, 2 * RESETS),
        ];
        match expected.iter().find(|(_, count, right)| count != right) {
            Some((what, count, right)) => Err(format!("{count} {what}, expected {right}").into()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:6} connections", self.connections)?;
        writeln!(f, "{:6} resets", self.resets)?;
        writeln!(f, "{:6} of them in the middle of a message", self.halves)?;
        writeln!(f, "{:6} messages sent, half of them by each", self.sent)?;
        writeln!(f, "{:6} messages shown by the server", self.shown)?;
        writeln!(f, "{:6} messages received, all by both", self.received)?;
        writeln!(f, "{:6} torn", self.torn)?;
        writeln!(f, "{:6} missing", self.missing)?;
        let (server, clients) = (self.twice_at_server, self.twice_at_clients);
        writeln!(f, "{server:6} came to the server twice, shown once")?;
        write!(f, "{clients:6} came to a client twice, shown once")
    }
}

/// Prints what happens, and how long after the start.
#[derive(Clone, Copy)]
struct Console(Instant);

impl Console {
    fn say(self, who: &str, what: impl fmt::Display) {
        println!("{:7.3} s  {who:6}  {what}", self.0.elapsed().as_secs_f64());
    }
}
