//! A client that checks the bytes and the errors that it gets: its two halves.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reconnecting_stream::{Connect, ConnectionLost, Event, Seam, connect_fn};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::Failure;
use super::checker::{Checker, Shape};
use super::pattern::Place;

/// Small, so that writes are cut.
const SEND_BUFFER: u32 = 8 * 1024;

/// Connections with their number at their beginning; `wrap` makes of them what the stream gets.
pub fn dial<Io: 'static>(
    addr: SocketAddr,
    base: u64,
    wrap: fn(TcpStream) -> Io,
) -> impl Connect<Io = Io, Future: Send> + Send {
    connect_fn(move |attempt| {
        let number = base + attempt.generation;
        async move {
            let socket = TcpSocket::new_v4()?;
            socket.set_send_buffer_size(SEND_BUFFER)?;
            let mut socket = socket.connect(addr).await?;
            socket.set_nodelay(true)?;
            socket.write_u64(number).await?;
            Ok(wrap(socket))
        }
    })
}

/// Counts of the events of a stream.
#[derive(Debug, Default)]
pub struct EventCounts {
    pub losses: AtomicU64,
    pub connections: AtomicU64,
    pub failed_attempts: AtomicU64,
    /// The generation that was lost last.
    pub lost: AtomicU64,
}

impl EventCounts {
    pub fn observer(self: &Arc<Self>) -> impl FnMut(&Event) + Send + Sync + 'static {
        let events = Arc::clone(self);
        move |event| match event {
            Event::Lost { generation, .. } => {
                events.losses.fetch_add(1, Ordering::SeqCst);
                events.lost.store(*generation, Ordering::SeqCst);
            }
            Event::Connected { .. } => {
                events.connections.fetch_add(1, Ordering::SeqCst);
            }
            Event::AttemptFailed { .. } => {
                events.failed_attempts.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
    }
}

/// How bytes are handed to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    Write,
    Vectored,
    /// And flushed, since the connection keeps them until then.
    Flush,
}

/// The losses that a half was told of.
#[derive(Debug)]
pub(super) struct Notices {
    seam: Seam,
    /// No connection follows a loss, so that a hidden seam is none, and is told of.
    is_last: bool,
    pub(super) generation: u64,
}

impl Notices {
    fn new(seam: Seam) -> Self {
        Self {
            seam,
            is_last: false,
            generation: 0,
        }
    }

    fn record(&mut self, error: &io::Error) -> Result<(), Failure> {
        let lost = ConnectionLost::find(error)
            .ok_or_else(|| format!("an error that tells of no loss: {error}"))?;
        if self.seam == Seam::Hidden && !self.is_last {
            return Err(format!("a hidden seam was told of: {error}"));
        }
        if lost.generation <= self.generation {
            return Err(format!("told twice: {error}"));
        }
        self.generation = lost.generation;
        Ok(())
    }
}

#[derive(Debug)]
pub struct Reading {
    pub(super) notices: Notices,
    pub checker: Checker,
    /// The longest that came without a seam.
    longest: u64,
    buffer: Vec<u8>,
}

/// What a read has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    Bytes,
    /// The reader was told of a seam.
    Seam,
    /// An end, where the seams do not look like one.
    End,
}

impl Reading {
    pub fn new(seam: Seam) -> Self {
        let shape = match seam {
            Seam::Hidden => Shape::Spliced,
            Seam::Error | Seam::Eof => Shape::Whole,
        };
        Self {
            notices: Notices::new(seam),
            checker: Checker::new(shape),
            longest: 0,
            buffer: vec![0; 4096],
        }
    }

    /// The writer shuts the stream down.
    pub fn expect_end(&mut self) {
        self.notices.is_last = true;
    }

    /// How many bytes of one stream it has got, of the longest.
    pub fn longest(&self) -> u64 {
        self.longest
    }

    pub async fn read(&mut self, io: &mut (impl AsyncRead + Unpin)) -> Result<Read, Failure> {
        match io.read(&mut self.buffer).await {
            Ok(0) if self.notices.seam == Seam::Eof => {
                self.checker.cut();
                Ok(Read::Seam)
            }
            Ok(0) => Ok(Read::End),
            Ok(read) => {
                self.checker.push(&self.buffer[..read])?;
                self.longest = self.longest.max(self.checker.run());
                Ok(Read::Bytes)
            }
            Err(error) => {
                self.notices.record(&error)?;
                self.checker.cut();
                Ok(Read::Seam)
            }
        }
    }
}

#[derive(Debug)]
pub struct Writing {
    pub(super) notices: Notices,
    put: Put,
    place: Place,
    /// How much one write has.
    chunk: usize,
    /// Odd during a write.
    turns: Arc<AtomicU64>,
}

impl Writing {
    pub fn new(seam: Seam, put: Put, chunk: usize) -> Self {
        Self {
            notices: Notices::new(seam),
            put,
            place: Place::beginning(0),
            chunk,
            turns: Arc::default(),
        }
    }

    /// A number that is odd during a write, and another one for each.
    pub fn turns(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.turns)
    }

    /// Continues with this stream from its beginning.
    pub fn begin(&mut self, stream: u64) {
        self.place = Place::beginning(stream);
    }

    /// Whether it went through. If not the writer was told of a seam, and begins another stream.
    pub async fn write(&mut self, io: &mut (impl AsyncWrite + Unpin)) -> Result<bool, Failure> {
        let bytes: Vec<_> = self.place.bytes().take(self.chunk).collect();
        self.place = self.place.after(self.chunk);
        self.turns.fetch_add(1, Ordering::SeqCst);
        let written = match self.put {
            Put::Write => io.write_all(&bytes).await,
            Put::Vectored => write_all_vectored(io, &bytes).await,
            Put::Flush => match io.write_all(&bytes).await {
                Ok(()) => io.flush().await,
                Err(error) => Err(error),
            },
        };
        self.turns.fetch_add(1, Ordering::SeqCst);
        self.outcome(written)
    }

    /// Whether it went through, as for a write.
    pub async fn finish(&mut self, io: &mut (impl AsyncWrite + Unpin)) -> Result<bool, Failure> {
        let finished = io.shutdown().await;
        self.outcome(finished)
    }

    fn outcome(&mut self, result: io::Result<()>) -> Result<bool, Failure> {
        let Err(error) = result else {
            return Ok(true);
        };
        self.notices.record(&error)?;
        self.begin(self.place.stream + 1);
        Ok(false)
    }
}

async fn write_all_vectored(io: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (one, other) = rest.split_at(rest.len() / 3);
        let slices = [IoSlice::new(one), IoSlice::new(&[]), IoSlice::new(other)];
        match io.write_vectored(&slices).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => rest = &rest[written..],
        }
    }
    Ok(())
}
