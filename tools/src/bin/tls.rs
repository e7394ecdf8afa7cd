//! A client over TLS whose server resets its connections and is restarted: `cargo run --bin tls`.
//!
//! The example makes its own certificates, and starts a server on a loopback port that answers
//! every line with the same line. After every [`REQUESTS`] answers it resets the connection in
//! the middle of one, and every third time it starts again, with other keys for its tickets.
//! The client asks again what was not answered. Each connection tells whether its handshake
//! was a full one, or took up the session of the connection before; both are timed.
//!
//! What the client has to do with TLS is in `connect`. The example fails if a line is
//! missing or wrong, or if a session was not resumed that could be.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reconnecting_stream::{Backoff, Connect, ConnectionLost, Policy};
use reconnecting_stream::{ReconnectingStream, Seam, TlsConnector};
use reconnecting_stream_tools::certificates::{Authority, name};
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::client::TlsStream;

type Failure = Box<dyn Error + Send + Sync>;

/// How many lines are answered on a connection.
const REQUESTS: usize = 50;
const CONNECTIONS: usize = 9;
/// How many connections there are between two restarts.
const UNTIL_RESTART: usize = 3;
/// Nothing here takes that long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    timeout(DEADLINE, run())
        .await
        .unwrap_or_else(|_| Err(format!("not over within {DEADLINE:?}").into()))
}

async fn run() -> Result<(), Failure> {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let config = authority.client();
    let (tell, mut handshakes) = mpsc::unbounded_channel();
    let server = tokio::spawn(serve(listener, authority, tell));
    let mut stream = BufReader::new(connect(address, config).await?);
    let mut figures = Figures::default();
    for number in 1..=CONNECTIONS * REQUESTS {
        ask(&mut stream, number, &mut figures).await?;
        while let Ok(handshake) = handshakes.try_recv() {
            figures.note(&handshake);
        }
    }
    server.abort();
    println!("\n{figures}");
    figures.check()
}

/// Connects to a server with this name, under a configuration that trusts its authority.
async fn connect(
    address: SocketAddr,
    config: ClientConfig,
) -> io::Result<ReconnectingStream<impl Connect<Io = TlsStream<TcpStream>>>> {
    let connector = TlsConnector::new(move || TcpStream::connect(address), name(), config);
    ReconnectingStream::builder(connector)
        .policy(Policy::default().backoff(Backoff::constant(Duration::from_millis(5))))
        .seam(Seam::Error)
        .connect()
        .await
}

/// Sends a line until it is answered. A line that a lost connection took is sent again.
async fn ask<C: Connect<Io = TlsStream<TcpStream>>>(
    stream: &mut BufReader<ReconnectingStream<C>>,
    number: usize,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let request = format!("line {number}\n");
    loop {
        let mut answer = String::new();
        let answered = async {
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await?;
            stream.read_line(&mut answer).await
        };
        match answered.await {
            Ok(_) => {
                figures.answered += usize::from(answer == request);
                figures.wrong += usize::from(answer != request);
                figures.look_at(stream.get_ref());
                return Ok(());
            }
            // Whatever has arrived of the answer is dropped.
            Err(error) if ConnectionLost::find(&error).is_some() => figures.again += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// One handshake, as the server saw it.
struct Handshake {
    kind: HandshakeKind,
    took: Duration,
}

/// Answers lines, resets, and starts again.
async fn serve(
    listener: TcpListener,
    authority: Authority,
    tell: mpsc::UnboundedSender<Handshake>,
) -> Result<(), Failure> {
    loop {
        // This has the keys of the tickets, which a restart replaces.
        let acceptor = TlsAcceptor::from(Arc::new(authority.server()));
        for _ in 0..UNTIL_RESTART {
            let (io, _) = listener.accept().await?;
            let begun = Instant::now();
            let mut io = BufReader::new(acceptor.accept(io).await?);
            let took = begun.elapsed();
            let kind = io.get_ref().get_ref().1.handshake_kind();
            let kind = kind.ok_or("no handshake")?;
            tell.send(Handshake { kind, took })?;
            let mut line = String::new();
            for _ in 0..REQUESTS {
                line.clear();
                io.read_line(&mut line).await?;
                io.write_all(line.as_bytes()).await?;
                io.flush().await?;
            }
            line.clear();
            io.read_line(&mut line).await?;
            io.write_all(&line.as_bytes()[..line.len() / 2]).await?;
            io.flush().await?;
            io.get_ref().get_ref().0.set_zero_linger()?;
        }
    }
}

/// What has happened.
#[derive(Default)]
struct Figures {
    answered: usize,
    wrong: usize,
    again: usize,
    connections: u64,
    /// As the client saw it.
    resumed: usize,
    full: Vec<Duration>,
    short: Vec<Duration>,
}

impl Figures {
    /// Sees each connection once.
    fn look_at<C: Connect<Io = TlsStream<TcpStream>>>(&mut self, stream: &ReconnectingStream<C>) {
        if self.connections == stream.generation() {
            return;
        }
        self.connections = stream.generation();
        let kind = stream
            .get_ref()
            .and_then(|tls| tls.get_ref().1.handshake_kind());
        self.resumed += usize::from(kind == Some(HandshakeKind::Resumed));
    }

    fn note(&mut self, handshake: &Handshake) {
        let is_resumed = handshake.kind == HandshakeKind::Resumed;
        let (same, words) = if is_resumed {
            (&mut self.short, "resumed the session")
        } else {
            (&mut self.full, "made a full handshake")
        };
        same.push(handshake.took);
        let number = self.full.len() + self.short.len();
        let took = handshake.took.as_secs_f64();
        let share = 100.0 * took / self.full[0].as_secs_f64();
        println!(
            "connection {number} {words:21} in {:5.2} ms, {share:3.0} % of the first",
            1e3 * took
        );
    }

    fn check(&self) -> Result<(), Failure> {
        let resumed = CONNECTIONS - CONNECTIONS / UNTIL_RESTART;
        let expected = [
            ("lines answered", self.answered, CONNECTIONS * REQUESTS),
            ("lines wrong", self.wrong, 0),
            (
                "full handshakes",
                self.full.len(),
                CONNECTIONS / UNTIL_RESTART,
            ),
            (
                "sessions resumed, says the server",
                self.short.len(),
                resumed,
            ),
            ("sessions resumed, says the client", self.resumed, resumed),
        ];
        match expected.iter().find(|(_, count, right)| count != right) {
            Some((what, count, right)) => Err(format!("{count} {what}, expected {right}").into()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:6} connections", self.connections)?;
        writeln!(
            f,
            "{:6} full handshakes, {:.2?} in the middle",
            self.full.len(),
            median(&self.full)
        )?;
        writeln!(
            f,
            "{:6} sessions resumed, {:.2?} in the middle",
            self.short.len(),
            median(&self.short)
        )?;
        writeln!(f, "{:6} lines answered", self.answered)?;
        writeln!(f, "{:6} asked again", self.again)?;
        write!(f, "{:6} wrong", self.wrong)
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
