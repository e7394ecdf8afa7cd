//! A server that checks what it gets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::Failure;
use super::checker::{Checker, Shape};
use super::extents::Extents;
use super::pattern::{Place, TELLING};

/// What a server expects and answers.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// [`Shape::Whole`] if the client is told of seams, [`Shape::Part`] if not.
    pub shape: Shape,
    pub answer: Answer,
    /// So many bytes when the client has finished.
    pub closing_bytes: u64,
}

/// How long the answers are, beside what they answer.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    Times(u64),
    Part(u64),
}

impl Answer {
    fn to(self, bytes: u64) -> u64 {
        match self {
            Self::Times(n) => bytes * n,
            Self::Part(n) => bytes / n,
        }
    }
}

/// Runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    ledger: Arc<watch::Sender<Ledger>>,
    task: JoinHandle<()>,
}

/// What a server has got.
#[derive(Debug, Default)]
struct Ledger {
    /// Connections that have not ended.
    live: usize,
    bytes: u64,
    extents: Extents<Place>,
    wrong: Option<Failure>,
}

impl Server {
    pub async fn start(options: ServerOptions) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let ledger = Arc::default();
        let task = tokio::spawn(accept(listener, options, Arc::clone(&ledger)));
        Ok(Self { addr, ledger, task })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What was wrong, if anything was.
    pub fn check(&self) -> Result<(), Failure> {
        self.ledger.borrow().check()
    }

    /// Waits until every connection has ended; how many bytes there were, if all were right.
    pub async fn finish(self) -> Result<u64, Failure> {
        let mut ledger = self.ledger.subscribe();
        let ended = ledger.wait_for(|ledger| ledger.live == 0).await;
        let ledger = ended.map_err(|error| error.to_string())?;
        ledger.check().map(|()| ledger.bytes)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ledger {
    fn check(&self) -> Result<(), Failure> {
        match &self.wrong {
            Some(failure) => Err(format!("at the server, {failure}")),
            None => Ok(()),
        }
    }

    /// A connection whose bytes can be told.
    fn note(&mut self, connection: u64, checker: &Checker) -> Result<(), Failure> {
        match checker.extent() {
            Some((begin, end)) => self.extents.note(connection, begin, end),
            None => Ok(()),
        }
    }
}

async fn accept(listener: TcpListener, options: ServerOptions, ledger: Arc<watch::Sender<Ledger>>) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((socket, _)) = listener.accept().await {
            while connections.try_join_next().is_some() {}
            ledger.send_modify(|ledger| ledger.live += 1);
            connections.spawn(serve(socket, options, Arc::clone(&ledger)));
        }
    }
}

async fn serve(socket: TcpStream, options: ServerOptions, ledger: Arc<watch::Sender<Ledger>>) {
    let mut checker = Checker::new(options.shape);
    let received = receive(socket, options, &mut checker).await;
    ledger.send_modify(|ledger| {
        ledger.live -= 1;
        ledger.bytes += checker.total();
        let noted = received.and_then(|connection| ledger.note(connection, &checker));
        ledger.wrong = ledger.wrong.take().or(noted.err());
    });
}

/// Receives until the connection ends or is lost. Returns its number, 0 if it has sent none.
async fn receive(
    mut socket: TcpStream,
    options: ServerOptions,
    checker: &mut Checker,
) -> Result<u64, Failure> {
    let _ = socket.set_nodelay(true);
    let connection = socket.read_u64().await.unwrap_or_default();
    let mut place = Place::beginning(connection);
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let due = TELLING as u64 + options.answer.to(checker.total());
        let answered = send_until(&mut socket, &mut place, due).await;
        let read = match answered {
            Ok(()) => socket.read(&mut buffer).await,
            Err(error) => Err(error),
        };
        match read {
            Err(_) => return Ok(connection),
            Ok(0) => {
                let _ = send_until(&mut socket, &mut place, due + options.closing_bytes).await;
                return Ok(connection);
            }
            Ok(read) => checker.push(&buffer[..read])?,
        }
    }
}

/// Sends the stream up to this position.
async fn send_until(socket: &mut TcpStream, place: &mut Place, until: u64) -> io::Result<()> {
    let missing = until.saturating_sub(place.position);
    let missing = usize::try_from(missing).unwrap_or(usize::MAX);
    let bytes: Vec<_> = place.bytes().take(missing).collect();
    *place = place.after(missing);
    socket.write_all(&bytes).await
}
