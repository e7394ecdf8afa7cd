//! A client that goes on working while its server fails it in every way a TCP server can.
//!
//! `cargo run --example demo` starts a server on a loopback port, and a client that sends it one
//! numbered request after another. The server commits its faults by turns, three times each:
//!
//! | the server | the client sees | and gets over it by |
//! |---|---|---|
//! | resets the connection instead of answering | a reset | a new connection |
//! | closes the connection after half an answer | the end of the stream | dropping the half, a new connection |
//! | crashes: the connection is reset, the port refuses | a reset, refused attempts | waiting longer from attempt to attempt |
//! | falls silent and keeps the connection | nothing at all | the idle timeout |
//! | accepts the next connection and says nothing | an attempt that hangs | the attempt timeout |
//!
//! Noticing, waiting and dialing is the work of the [`ReconnectingStream`]. The client's own part
//! is small, because it asked for [`Seam::Error`]: each lost connection is an error that says
//! whether the request in flight has to be sent again ([`Client::ask`]).
//!
//! The demo ends with what it went through. It fails if an answer was wrong or a fault did not
//! happen.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use reconnecting_stream::{Backoff, Connect, ConnectionLost, Event, Policy};
use reconnecting_stream::{ReconnectingStream, Seam};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy, sink};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How often each fault happens.
const ROUNDS: u32 = 3;
/// How many requests are answered between two faults.
const REQUESTS: u32 = 10;
/// How long the client rests after each.
const PACE: Duration = Duration::from_millis(20);
/// How many attempts a crashed server refuses before it is back.
const REFUSALS: u32 = 3;
/// What the server says first on each connection.
const GREETING: &[u8] = b"ready\n";
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
    let listener = bind((Ipv4Addr::LOCALHOST, 0).into())?.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    let server = Server {
        address,
        seen: seen.clone(),
        console,
    };
    let script = tokio::spawn(server.run(listener));
    let mut client = connect(address, tally, console).await?;
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

/// Sends requests, one at a time.
struct Client<C: Connect<Io = TcpStream>> {
    stream: BufReader<ReconnectingStream<C>>,
    work: Work,
    console: Console,
}

/// What the client has done.
#[derive(Default)]
struct Work {
    requests: u64,
    repeated: u64,
    sent: usize,
    received: usize,
}

/// Makes the first connection, and a client on it.
async fn connect(
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
    async fn ask(&mut self) -> Result<(), Box<dyn Error>> {
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
    async fn finish(mut self) -> io::Result<Work> {
        self.stream.shutdown().await?;
        copy(&mut self.stream, &mut sink()).await?;
        Ok(self.work)
    }
}

/// The loss that an error tells of.
fn lost(error: &io::Error) -> Option<&ConnectionLost> {
    error.get_ref()?.downcast_ref()
}

/// What the server can do to its client.
#[derive(Clone, Copy)]
enum Fault {
    Reset,
    Close,
    Crash,
    Silence,
    Stall,
}

impl Fault {
    const ALL: [Self; 5] = [
        Self::Reset,
        Self::Close,
        Self::Crash,
        Self::Silence,
        Self::Stall,
    ];
}

/// Answers requests, and commits faults.
struct Server {
    address: SocketAddr,
    /// What the client has seen so far.
    seen: watch::Receiver<Tally>,
    console: Console,
}

impl Server {
    /// Commits every fault in every round; each one in place of an answer. From then on only
    /// answers.
    async fn run(mut self, mut listener: TcpListener) -> io::Result<()> {
        for fault in (0..ROUNDS).flat_map(|_| Fault::ALL) {
            let (io, request) = serve(&listener, REQUESTS).await?;
            self.console.say("server", fault);
            listener = self.commit(fault, io, &request, listener).await?;
        }
        tokio::spawn(async move { serve(&listener, u32::MAX).await });
        Ok(())
    }

    /// Returns the listener that the client shall find next.
    async fn commit(
        &mut self,
        fault: Fault,
        mut io: TcpStream,
        request: &[u8],
        listener: TcpListener,
    ) -> io::Result<TcpListener> {
        match fault {
            // Dropped now, it is reset instead of closed.
            Fault::Reset => io.set_zero_linger()?,
            Fault::Close => {
                let answer = answer_to(request);
                io.write_all(&answer[..answer.len() / 2]).await?;
            }
            Fault::Crash => return self.crash(io, listener).await,
            Fault::Silence => until_left(io).await,
            Fault::Stall => {
                drop(io);
                until_left(listener.accept().await?.0).await;
            }
        }
        Ok(listener)
    }

    async fn crash(&mut self, io: TcpStream, listener: TcpListener) -> io::Result<TcpListener> {
        let enough = self.seen.borrow().refused + REFUSALS;
        drop(listener);
        io.set_zero_linger()?;
        drop(io);
        // Bound but not listened on, the port refuses, and nobody else can take it.
        let port = bind(self.address)?;
        let seen = self.seen.wait_for(|tally| tally.refused >= enough).await;
        seen.map_err(|_| io::Error::other("the client is gone"))?;
        port.listen(BACKLOG)
    }
}

/// Answers so many requests on one connection; returns it with the one after them. A client that
/// leaves before is waited for.
async fn serve(listener: &TcpListener, answers: u32) -> io::Result<(TcpStream, Vec<u8>)> {
    loop {
        let (io, _) = listener.accept().await?;
        if let Ok(open) = converse(io, answers).await {
            return Ok(open);
        }
    }
}

async fn converse(mut io: TcpStream, answers: u32) -> io::Result<(TcpStream, Vec<u8>)> {
    io.write_all(GREETING).await?;
    let mut io = BufReader::new(io);
    let mut answered = 0;
    loop {
        let mut request = Vec::new();
        if io.read_until(b'\n', &mut request).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if answered == answers {
            return Ok((io.into_inner(), request));
        }
        io.write_all(&answer_to(&request)).await?;
        answered += 1;
    }
}

fn answer_to(request: &[u8]) -> Vec<u8> {
    [b"answer to ", request].concat()
}

/// Says nothing until the client has hung up, which may be a reset.
async fn until_left(mut io: TcpStream) {
    let _ = copy(&mut io, &mut sink()).await;
}

const BACKLOG: u32 = 16;

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections of the crashed server don't stand in the way. On Windows they never do, and
    // the option means something else.
    socket.set_reuseaddr(cfg!(not(windows)))?;
    socket.bind(address)?;
    Ok(socket)
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

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:6} requests answered", self.requests)?;
        writeln!(f, "{:6} requests repeated", self.repeated)?;
        writeln!(f, "{:6} bytes sent", self.sent)?;
        write!(f, "{:6} bytes received", self.received)
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

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reset => "resets the connection",
            Self::Close => "closes the connection after half an answer",
            Self::Crash => "crashes, and stays away until some attempts were refused",
            Self::Silence => "falls silent, and keeps the connection",
            Self::Stall => "closes the connection, and says nothing on the next one",
        })
    }
}
