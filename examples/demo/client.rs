//! A client that repeats a request whose answer was lost.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use reconnecting_stream::{Backoff, Connect, ConnectionLost, Event, Policy};
use reconnecting_stream::{ReconnectingStream, Seam};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy, sink};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::server::{GREETING, answer_to};
use crate::{Console, PACE, REQUESTS, Tally};

/// Sends requests, one at a time.
pub(crate) struct Client<C: Connect<Io = TcpStream>> {
    stream: BufReader<ReconnectingStream<C>>,
    work: Work,
    console: Console,
}

/// Makes the first connection, and a client on it.
pub(crate) async fn connect(
    address: SocketAddr,
    tally: watch::Sender<Tally>,
    console: Console,
) -> io::Result<Client<impl Connect<Io = TcpStream>>> {
    let stream = ReconnectingStream::builder(move || dial(address))
        .policy(policy())
        .seam(Seam::Error)
        .on_event(move |event| {
            console.say("client", words(event));
            tally.send_modify(|tally| tally.count(event));
        })
        .retry_initial_connect(true)
        .connect()
        .await?;
    Ok(Client {
        stream: BufReader::new(stream),
        work: Work::default(),
        console,
    })
}

impl<C: Connect<Io = TcpStream>> Client<C> {
    /// Sends the next request until its answer is there, on however many connections it takes.
    pub(crate) async fn ask(&mut self) -> Result<(), Box<dyn Error>> {
        self.work.requests += 1;
        let request = format!("request {}\n", self.work.requests);
        let answer = loop {
            let generation = self.send(request.as_bytes()).await?;
            if let Some(answer) = self.answer(generation).await? {
                break answer;
            }
            self.work.repeated += 1;
            let again = format!("has to repeat {}", request.trim());
            self.console.say("client", again);
        };
        if answer != answer_to(request.as_bytes()) {
            let answer = String::from_utf8_lossy(&answer);
            return Err(format!("{request:?} was answered with {answer:?}").into());
        }
        Ok(())
    }

    /// Puts a request whole into one connection; returns the number of that connection.
    async fn send(&mut self, request: &[u8]) -> io::Result<u64> {
        loop {
            match self.stream.write_all(request).await {
                Ok(()) => {
                    self.work.sent += request.len();
                    return Ok(self.stream.get_ref().generation());
                }
                // At most a part of the request went out before the seam, so it goes again.
                Err(error) if lost(&error).is_some() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The answer to what this connection was sent; `None` if it was lost first. Half of an
    /// answer is dropped.
    async fn answer(&mut self, generation: u64) -> io::Result<Option<Vec<u8>>> {
        loop {
            let mut answer = Vec::new();
            let read = self.stream.read_until(b'\n', &mut answer).await;
            self.work.received += answer.len();
            let Err(error) = read else {
                return Ok(Some(answer));
            };
            match lost(&error) {
                Some(lost) if lost.generation >= generation => return Ok(None),
                // The writer has met this loss before, and has used the next connection.
                Some(_) => {}
                None => return Err(error),
            }
        }
    }

    /// Says goodbye, and waits for the server's.
    pub(crate) async fn finish(mut self) -> io::Result<Work> {
        self.stream.shutdown().await?;
        copy(&mut self.stream, &mut sink()).await?;
        Ok(self.work)
    }
}

/// The loss that an error tells of.
fn lost(error: &io::Error) -> Option<&ConnectionLost> {
    error.get_ref()?.downcast_ref()
}

/// How the stream of this demo behaves: like the default, in a hurry.
fn policy() -> Policy {
    Policy::default()
        .backoff(Backoff::exponential(Duration::from_millis(50)).max(Duration::from_millis(400)))
        .attempt_timeout(Duration::from_millis(500))
        .idle_timeout(Duration::from_millis(500))
        .stable_after(REQUESTS / 2 * PACE)
}

/// One attempt: the server has to accept *and* to greet within the attempt timeout.
async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let mut io = TcpStream::connect(address).await?;
    let mut greeting = [0; GREETING.len()];
    io.read_exact(&mut greeting).await?;
    if greeting != GREETING {
        return Err(io::Error::other("not the greeting of this demo's server"));
    }
    Ok(io)
}

/// What the client has done.
#[derive(Default)]
pub(crate) struct Work {
    requests: u64,
    repeated: u64,
    sent: usize,
    received: usize,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:6} requests answered", self.requests)?;
        writeln!(f, "{:6} requests repeated", self.repeated)?;
        writeln!(f, "{:6} bytes sent", self.sent)?;
        write!(f, "{:6} bytes received", self.received)
    }
}

/// An event in plain words.
fn words(event: &Event) -> String {
    match event {
        Event::Lost {
            generation, cause, ..
        } => format!("lost connection {generation}: {}", reason(cause)),
        Event::Retrying { attempt, delay, .. } => {
            format!("will make attempt {attempt} in {} ms", delay.as_millis())
        }
        Event::AttemptFailed { attempt, error, .. } => {
            format!("attempt {attempt} failed: {}", reason(error))
        }
        Event::Connected { generation, .. } => format!("connection {generation} is up"),
        Event::GaveUp { attempts, .. } => format!("gave up after {attempts} attempts"),
        Event::Closed { .. } => "closed".into(),
        other => format!("{other:?}"),
    }
}

/// The system's words come with a number, and differ from system to system.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionReset => "reset by the server".into(),
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::UnexpectedEof => "closed by the server".into(),
        _ => error.to_string(),
    }
}
