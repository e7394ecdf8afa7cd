//! A subscriber and a pipelined writer whose connections, and whose server, are killed all the
//! time.
//!
//! `cargo run --bin redis` starts a `redis-server` on a loopback port, and kills it twice;
//! with an address (`-- 127.0.0.1:6379`) it uses a server that is running, and kills only its own
//! connections. The commands are encoded by the crate `redis-protocol`.
//!
//! | file | what to copy from it |
//! |---|---|
//! | `subscriber.rs` | `SUBSCRIBE` in `on_connect`, so that every connection begins with it; a heartbeat, so that silence is noticed; `Seam::Error`, so that the subscriber knows when it may have missed messages |
//! | `writer.rs` | `Resend::Unconfirmed`, and `confirm_replies` for each answer: no command is lost, some are done twice |
//! | `resp.rs` | which answers to a login are worth another attempt |
//! | `server.rs`, `faults.rs` | nothing: they inject the faults |
//!
//! # What redis can't do
//!
//! - What is published while a subscriber is away is lost. Streams (`XREAD`) keep it.
//! - A command that was executed and whose answer was lost is executed again: `RPUSH` shows it,
//!   `HSET` does not.
//! - A server that was stopped and continues may do what it has read from a connection that was
//!   given up long ago, **after** what came over the next one: an old `SET` may overwrite a newer
//!   one. Where that matters, commands have to carry a version.
//!
//! The example ends with what it has counted, and fails if anything is torn or missing.

mod faults;
mod resp;
mod server;
mod subscriber;
mod writer;

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use reconnecting_stream::{Backoff, Event, Policy};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::faults::Target;
use crate::server::Server;

type Failure = Box<dyn Error + Send + Sync>;

/// How many messages are published.
const MESSAGES: usize = 1000;
/// How many numbers are written, each by two commands.
const NUMBERS: usize = 20_000;
/// The last message.
const END: &str = "the end";
/// Between two messages.
const PACE: Duration = Duration::from_millis(1);
/// Nothing here takes that long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let server = match std::env::args().nth(1) {
        Some(address) => Some(Server::running(address.parse()?)),
        None => Server::start().await?,
    };
    let Some(server) = server else {
        println!("redis-server is not installed: nothing to show without it");
        return Ok(());
    };
    timeout(DEADLINE, run(server))
        .await
        .unwrap_or_else(|_| Err(format!("not over within {DEADLINE:?}").into()))
}

async fn run(mut server: Server) -> Result<(), Failure> {
    let console = Console(Instant::now());
    let address = server.address;
    writer::clear(&mut server.connect().await?).await?;
    let (listener, author) = (Target::default(), Target::default());
    let (ready, is_ready) = oneshot::channel();
    let listening = subscriber::listen(address, listener.clone(), console, ready);
    let writing = writer::write(address, author.clone(), console);
    let publishing = async {
        is_ready.await?;
        faults::publish_and_kill(&mut server, &listener, &author, console).await
    };
    let (subscriber, (), done) = tokio::try_join!(listening, writing, publishing)?;
    let written = writer::check(&mut server.connect().await?).await?;
    writer::clear(&mut server.connect().await?).await?;
    let summary = Summary::new(&subscriber, &written, &done);
    println!("\n{summary}");
    summary.check()
}

/// Returns the default policy with shorter times.
fn policy() -> Policy {
    Policy::default()
        .backoff(Backoff::exponential(Duration::from_millis(10)).max(Duration::from_millis(100)))
        .stable_after(Duration::from_millis(20))
}

/// What has happened on all sides.
struct Summary<'a> {
    subscriber: &'a subscriber::Report,
    written: &'a writer::Report,
    done: &'a faults::Report,
    /// Messages that redis had given to the subscriber.
    given: usize,
    missing: usize,
    twice: usize,
}

impl<'a> Summary<'a> {
    fn new(
        subscriber: &'a subscriber::Report,
        written: &'a writer::Report,
        done: &'a faults::Report,
    ) -> Self {
        let mut times = vec![0; MESSAGES];
        for &number in &subscriber.received {
            times[number] += 1;
        }
        let given = |number: &usize| done.received[*number];
        Self {
            subscriber,
            written,
            done,
            given: (0..MESSAGES).filter(given).count(),
            missing: (0..MESSAGES)
                .filter(given)
                .filter(|&n| times[n] == 0)
                .count(),
            twice: times.iter().filter(|&&n| n > 1).count(),
        }
    }

    fn check(&self) -> Result<(), Failure> {
        let wrong = [
            ("published messages torn", self.subscriber.torn),
            ("published messages missing", self.missing),
            ("published messages there twice", self.twice),
            ("commands missing", self.written.missing),
            ("fields there twice", self.written.twice_in_hash),
        ];
        match wrong.iter().find(|(_, count)| *count > 0) {
            Some((what, count)) => Err(format!("{count} {what}").into()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            subscriber,
            written,
            done,
            ..
        } = self;
        writeln!(f, "{:6} connections killed", done.kills)?;
        writeln!(f, "{:6} times the server killed", done.restarts)?;
        writeln!(f, "{MESSAGES:6} messages published")?;
        writeln!(f, "{:6} of them while the subscriber was there", self.given)?;
        writeln!(f, "{:6} received", subscriber.received.len())?;
        writeln!(f, "{:6} torn", subscriber.torn)?;
        writeln!(f, "{:6} missing", self.missing)?;
        writeln!(f, "{:6} twice", self.twice)?;
        writeln!(
            f,
            "{:6} times the subscriber was told of a loss",
            subscriber.seams
        )?;
        writeln!(f, "{:6} commands written", 2 * NUMBERS)?;
        writeln!(f, "{:6} missing", written.missing)?;
        writeln!(f, "{:6} in the list twice", written.twice_in_list)?;
        write!(f, "{:6} in the hash twice", written.twice_in_hash)
    }
}

/// Prints what happens, and how long after the start.
#[derive(Clone, Copy)]
struct Console(Instant);

impl Console {
    fn say(self, who: &str, what: impl fmt::Display) {
        println!("{:7.3} s  {who:10}  {what}", self.0.elapsed().as_secs_f64());
    }

    /// Returns an observer that prints the events of a client.
    fn observer(self, who: &'static str) -> impl FnMut(&Event) + Send + Sync + 'static {
        move |event| match event {
            Event::Lost {
                generation, cause, ..
            } => {
                self.say(
                    who,
                    format_args!("has lost connection {generation}: {cause}"),
                );
            }
            Event::AttemptFailed { error, .. } => {
                self.say(who, format_args!("could not connect: {error}"));
            }
            _ => {}
        }
    }
}
