//! How long a stream is without a connection: from the RST's arrival to the first byte through
//! the next connection, with a zero backoff, beside a loop written by hand that matches on the
//! error, connects and reads.
//!
//! Over TCP, and over TLS with session resumption, which both keep. Client and server are tasks of
//! one runtime of one thread. On loopback a socket that closes with a zero linger time delivers its
//! RST before the call returns, and the clock starts there. The server sends one byte on each
//! connection.
//!
//! This crate, the loop and a second such loop, the control, take turns. A round is the median of
//! many losses, a ratio is one of the same round, above 1 if slower than the first loop.
//!
//! Prints a table in Markdown. Nothing is checked.

use std::cell::Cell;
use std::env;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use reconnecting_stream::{Backoff, Connect, Policy, ReconnectingStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream as ServerStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const ROUNDS: usize = 31;
const LOSSES: usize = 101;

fn main() -> io::Result<()> {
    if cfg!(debug_assertions) {
        eprintln!("nothing is measured in a debug build: use `cargo bench`");
        return Ok(());
    }
    let words: Vec<_> = env::args().skip(1).filter(|w| w != "--bench").collect();
    println!(
        "| time to recover, {ROUNDS} rounds of {LOSSES} losses | by hand | this crate \
         | this crate / by hand | by hand again / by hand |\n|---|--:|--:|--:|--:|"
    );
    for medium in ["TCP", "TLS"] {
        if words.iter().all(|word| medium.contains(word.as_str())) {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            println!("{}", LocalSet::new().block_on(&runtime, measure(medium))?);
        }
    }
    Ok(())
}

async fn measure(medium: &str) -> io::Result<String> {
    let listener = Rc::new(TcpListener::bind("127.0.0.1:0").await?);
    let address = listener.local_addr()?;
    let dial = move || with_nodelay(TcpStream::connect(address));
    let accept = move || {
        let listener = Rc::clone(&listener);
        with_nodelay(async move { Ok(listener.accept().await?.0) })
    };
    if medium == "TCP" {
        let reset = |socket: TcpStream| socket.set_zero_linger();
        return compare(medium, dial, accept, reset).await;
    }
    let (connector, acceptor) = tls();
    let dial = move || {
        let connector = connector.clone();
        async move { connector.connect(host(), dial().await?).await }
    };
    let accept = move || {
        let (acceptor, accepted) = (acceptor.clone(), accept());
        async move { acceptor.accept(accepted.await?).await }
    };
    let reset = |stream: ServerStream<TcpStream>| stream.get_ref().0.set_zero_linger();
    compare(medium, dial, accept, reset).await
}

/// Nagle's algorithm would make the last flight of a handshake wait for 40 ms.
async fn with_nodelay(
    socket: impl Future<Output = io::Result<TcpStream>>,
) -> io::Result<TcpStream> {
    let socket = socket.await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn host() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("it is a name")
}

/// Both for a certificate that was made for this run.
fn tls() -> (TlsConnector, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let certified = made.expect("the name is one");
    let certificate = certified.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("it is a certificate");
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .expect("the key is that of the certificate");
    (Arc::new(client).into(), Arc::new(server).into())
}

/// What replaces a lost connection.
#[derive(Clone, Copy)]
enum Side {
    ByHand,
    Ours,
    ByHandAgain,
}

const SIDES: [Side; 3] = [Side::ByHand, Side::Ours, Side::ByHandAgain];

/// By turns, and backwards every other time.
async fn compare<D, Dialing, A, Accepting, Near, Far>(
    medium: &str,
    dial: D,
    accept: A,
    reset: impl Fn(Far) -> io::Result<()> + Copy + 'static,
) -> io::Result<String>
where
    D: Fn() -> Dialing + Clone + 'static,
    Dialing: Future<Output = io::Result<Near>> + 'static,
    A: Fn() -> Accepting + Clone + 'static,
    Accepting: Future<Output = io::Result<Far>> + 'static,
    Near: AsyncRead + Unpin + 'static,
    Far: AsyncWrite + Unpin + 'static,
{
    let mut times = [const { Vec::new() }; SIDES.len()];
    for round in 0..=ROUNDS {
        for turn in 0..SIDES.len() {
            let turn = if round % 2 == 0 {
                turn
            } else {
                SIDES.len() - 1 - turn
            };
            let (mut near, far) = tokio::try_join!(dial(), accept())?;
            let server = Server {
                far,
                accept: accept.clone(),
                reset,
            };
            let dial = dial.clone();
            let recovered = match SIDES[turn] {
                Side::ByHand | Side::ByHandAgain => {
                    lose(async move || read_by_hand(&mut near, &dial).await, server).await?
                }
                Side::Ours => {
                    let mut stream = ours(dial, near);
                    lose(async move || stream.read_u8().await, server).await?
                }
            };
            // The first round is for the caches.
            if round > 0 {
                times[turn].push(recovered);
            }
        }
    }
    Ok(row(medium, &times))
}

fn row(medium: &str, times: &[Vec<f64>; SIDES.len()]) -> String {
    let by_hand = &times[0];
    let micros = |times: &[f64]| 1e6 * median(&mut times.to_vec());
    let ratio = |times: &[f64]| {
        let ratios = times.iter().zip(by_hand).map(|(time, first)| time / first);
        let mut ratios: Vec<_> = ratios.collect();
        let middle = median(&mut ratios);
        let [lowest, highest] = [ratios[0], ratios[ratios.len() - 1]];
        format!("{middle:.3} ({lowest:.3} to {highest:.3})")
    };
    format!(
        "| {medium} | {:.1} µs | {:.1} µs | {} | {} |",
        micros(by_hand),
        micros(&times[1]),
        ratio(&times[1]),
        ratio(&times[2]),
    )
}

/// Sorts an odd number of values, and returns the one in the middle.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn ours<C, Near>(dial: C, near: Near) -> ReconnectingStream<C>
where
    C: Connect<Io = Near>,
{
    let policy = Policy::default()
        .backoff(Backoff::none())
        .max_attempts(None);
    ReconnectingStream::builder(dial).policy(policy).wrap(near)
}

/// What people write who have no such stream.
async fn read_by_hand<Fut, Near>(near: &mut Near, dial: &impl Fn() -> Fut) -> io::Result<u8>
where
    Fut: Future<Output = io::Result<Near>>,
    Near: AsyncRead + Unpin,
{
    loop {
        match near.read_u8().await {
            Ok(byte) => return Ok(byte),
            Err(error) => match error.kind() {
                ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => *near = dial().await?,
                _ => return Err(error),
            },
        }
    }
}

/// The other end, which resets each connection and accepts the next.
struct Server<Far, A, R> {
    far: Far,
    accept: A,
    reset: R,
}

impl<Far, A, Accepting, R> Server<Far, A, R>
where
    A: Fn() -> Accepting,
    Accepting: Future<Output = io::Result<Far>>,
    R: Fn(Far) -> io::Result<()>,
    Far: AsyncWrite + Unpin,
{
    /// Resets when it is asked to, and says when it has.
    async fn serve(
        mut self,
        mut asked: mpsc::Receiver<()>,
        was_reset: Rc<Cell<Instant>>,
    ) -> io::Result<()> {
        while asked.recv().await.is_some() {
            (self.reset)(self.far)?;
            was_reset.set(Instant::now());
            self.far = (self.accept)().await?;
            self.far.write_u8(7).await?;
            self.far.flush().await?;
        }
        Ok(())
    }
}

/// The median of many recoveries, in seconds. Both ends are tasks, as they are in a program.
async fn lose<Far, A, Accepting, R>(
    mut read: impl AsyncFnMut() -> io::Result<u8> + 'static,
    server: Server<Far, A, R>,
) -> io::Result<f64>
where
    A: Fn() -> Accepting + 'static,
    Accepting: Future<Output = io::Result<Far>> + 'static,
    R: Fn(Far) -> io::Result<()> + 'static,
    Far: AsyncWrite + Unpin + 'static,
{
    let (ask, asked) = mpsc::channel(1);
    let was_reset = Rc::new(Cell::new(Instant::now()));
    let server = spawn_local(server.serve(asked, Rc::clone(&was_reset)));
    let client = spawn_local(async move {
        let mut times = Vec::new();
        for _ in 0..LOSSES {
            ask.send(()).await.map_err(io::Error::other)?;
            read().await?;
            times.push(was_reset.get().elapsed().as_secs_f64());
        }
        io::Result::Ok(median(&mut times))
    });
    let recovered = client.await??;
    server.await??;
    Ok(recovered)
}
