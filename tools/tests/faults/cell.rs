//! One cell: a fault in the middle of an operation.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use reconnecting_stream::testing::{FaultProxy, Plan};
use reconnecting_stream::{Backoff, Connect, Handle, Policy, ReconnectingStream, Seam, State};
use tokio::io::{AsyncRead, AsyncWrite, BufWriter};
use tokio::net::TcpStream;

use reconnecting_stream_tools::lab::checker::Shape;
use reconnecting_stream_tools::lab::client::{EventCounts, Put, Read, Reading, Writing, dial};
use reconnecting_stream_tools::lab::server::{Answer, Server, ServerOptions};
use reconnecting_stream_tools::lab::talk::{check_notices, talk_split, talk_whole};
use reconnecting_stream_tools::lab::{Failure, failure};

/// A connection that has delivered so much is past every fault.
pub(crate) const ENOUGH: u64 = 1200;
/// So many connections have the fault.
const FAULTY: usize = 2;
const MS: Duration = Duration::from_millis(1);

/// What the fault falls into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Long answers to short requests.
    Read,
    Write,
    WriteVectored,
    /// The connections keep what is written until it is flushed.
    Flush,
    /// A request, a shutdown, an answer.
    Shutdown,
}

impl Operation {
    pub(crate) const ALL: [Self; 5] = [
        Self::Read,
        Self::Write,
        Self::WriteVectored,
        Self::Flush,
        Self::Shutdown,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    Whole,
    InTwo,
}

#[derive(Clone)]
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) plan: Plan,
    pub(crate) operation: Operation,
    pub(crate) split: Split,
    pub(crate) seam: Seam,
    /// Its timers are so many times longer.
    pub(crate) longer: u32,
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operation, split, seam) = (self.operation, self.split, self.seam);
        write!(f, "{} x {operation:?} x {split:?} x {seam:?}", self.name)
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    pub(crate) losses: u64,
    pub(crate) reconnects: u64,
    pub(crate) to_server: u64,
    pub(crate) to_client: u64,
}

impl Report {
    pub(crate) fn add(&mut self, other: Self) {
        self.losses += other.losses;
        self.reconnects += other.reconnects;
        self.to_server += other.to_server;
        self.to_client += other.to_client;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (up, down) = (self.to_server, self.to_client);
        write!(
            f,
            "{} losses, {} reconnects, ",
            self.losses, self.reconnects
        )?;
        write!(f, "{up} bytes to the server, {down} to the client")
    }
}

impl Cell {
    /// On a busy machine a connection may be lost before it has come to its fault. Then its timers are
    /// made longer.
    pub(crate) async fn run(mut self) -> Result<Report, Failure> {
        for tries in 0..10 {
            self.longer = 1 << (tries / 2);
            let (report, injected) = self.try_once().await?;
            // Slow connections are not replaced.
            let is_slow = report.losses == 0 && injected > 0;
            if is_slow || injected >= FAULTY as u64 {
                return Ok(report);
            }
        }
        Err("the fault does not happen".into())
    }

    /// Returns how many faults have happened, too.
    async fn try_once(&self) -> Result<(Report, u64), Failure> {
        let server = Server::start(self.options()).await.map_err(failure)?;
        let proxy = FaultProxy::start(server.addr()).await.map_err(failure)?;
        proxy.script(vec![self.plan.clone(); FAULTY]);
        let mut report = match self.operation {
            Operation::Read | Operation::Write | Operation::WriteVectored => {
                self.talk(&server, &proxy, |socket| socket).await?
            }
            Operation::Flush => self.talk(&server, &proxy, BufWriter::new).await?,
            Operation::Shutdown => self.finish(&server, &proxy).await?,
        };
        let injected = proxy.stats().faults();
        drop(proxy);
        report.to_server = server.finish().await?;
        Ok((report, injected))
    }

    fn options(&self) -> ServerOptions {
        let (answer, closing_bytes) = match self.operation {
            Operation::Read => (Answer::Times(64), 0),
            Operation::Shutdown => (Answer::Times(1), ENOUGH),
            Operation::Write | Operation::WriteVectored | Operation::Flush => (Answer::Times(1), 0),
        };
        let shape = match self.seam {
            Seam::Hidden => Shape::Part,
            Seam::Error | Seam::Eof => Shape::Whole,
        };
        ServerOptions {
            shape,
            answer,
            closing_bytes,
        }
    }

    fn writing(&self) -> Writing {
        let (put, chunk) = match self.operation {
            Operation::Read => (Put::Write, 16),
            Operation::Write | Operation::Shutdown => (Put::Write, 256),
            Operation::WriteVectored => (Put::Vectored, 256),
            Operation::Flush => (Put::Flush, 256),
        };
        Writing::new(self.seam, put, chunk)
    }

    fn stream<Io: 'static>(
        &self,
        proxy: &FaultProxy,
        round: u64,
        wrap: fn(TcpStream) -> Io,
        events: &Arc<EventCounts>,
    ) -> ReconnectingStream<impl Connect<Io = Io, Future: Send> + Send + use<Io>> {
        let mut policy = Policy::default()
            .backoff(Backoff::constant(2 * MS))
            .max_attempts(None);
        if self.name.contains("stall") || self.name.contains("half-open") {
            policy = policy.idle_timeout(250 * self.longer * MS);
        }
        // A thousand connections are enough for any round.
        ReconnectingStream::builder(dial(proxy.addr(), round * 1000, wrap))
            .policy(policy)
            .seam(self.seam)
            .on_event(events.observer())
            .lazy()
    }

    /// Requests and answers until a connection has delivered enough.
    async fn talk<Io>(
        &self,
        server: &Server,
        proxy: &FaultProxy,
        wrap: fn(TcpStream) -> Io,
    ) -> Result<Report, Failure>
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let events = Arc::new(EventCounts::default());
        let mut stream = self.stream(proxy, 0, wrap, &events);
        let mut reading = Reading::new(self.seam);
        let mut writing = self.writing();
        let mut lost = 0;
        let is_enough = |reading: &Reading| {
            lost = events.lost.load(SeqCst);
            reading.checker.run() >= ENOUGH || server.check().is_err()
        };
        match self.split {
            Split::Whole => talk_whole(&mut stream, &mut reading, &mut writing, is_enough).await?,
            Split::InTwo => {
                writing = talk_split(stream, &mut reading, writing, is_enough).await?;
            }
        }
        server.check()?;
        check_notices(self.seam, lost, &reading, &writing)?;
        Ok(report(&events, &reading))
    }

    /// Rounds of a request, a shutdown and an answer, each on a stream of its own, until the
    /// answer is complete.
    async fn finish(&self, server: &Server, proxy: &FaultProxy) -> Result<Report, Failure> {
        let mut total = Report::default();
        for round in 0.. {
            let events = Arc::new(EventCounts::default());
            let stream = self.stream(proxy, round, |socket| socket, &events);
            let handle = stream.handle();
            let mut reading = Reading::new(self.seam);
            reading.expect_end();
            let writing = self.writing_of(round);
            let seams = match self.split {
                Split::Whole => {
                    let mut stream = stream;
                    let seams = request(&mut stream, writing).await?;
                    seams + answer(&mut stream, &mut reading, &handle).await?
                }
                Split::InTwo => {
                    let (mut reader, mut writer) = tokio::io::split(stream);
                    let asking = tokio::spawn(async move { request(&mut writer, writing).await });
                    let seams = answer(&mut reader, &mut reading, &handle).await?;
                    seams + asking.await.map_err(failure)??
                }
            };
            let is_complete = reading.longest() >= ENOUGH;
            total.add(report(&events, &reading));
            if is_complete || server.check().is_err() {
                break;
            }
            if self.seam == Seam::Error && seams == 0 && !self.name.contains("fin") {
                return Err("an answer that was cut looked complete".into());
            }
        }
        Ok(total)
    }

    /// The streams of a round come after those of the one before.
    fn writing_of(&self, round: u64) -> Writing {
        let mut writing = self.writing();
        writing.begin(round * 1000);
        writing
    }
}

/// Writes a request and shuts down, again if it was told of a seam. How many there were.
async fn request(
    writer: &mut (impl AsyncWrite + Unpin),
    mut writing: Writing,
) -> Result<u64, Failure> {
    let mut seams = 0;
    while !(writing.write(writer).await? && writing.finish(writer).await?) {
        seams += 1;
    }
    Ok(seams)
}

/// Reads until the stream has closed. How many seams it was told of.
async fn answer(
    reader: &mut (impl AsyncRead + Unpin),
    reading: &mut Reading,
    handle: &Handle,
) -> Result<u64, Failure> {
    let mut seams = 0;
    loop {
        match reading.read(reader).await? {
            Read::Bytes => {}
            _ if reading.longest() >= ENOUGH => return Ok(seams),
            Read::End if handle.state() == State::Closed => return Ok(seams),
            Read::End => return Err("an end, and the stream is not closed".into()),
            Read::Seam => {
                seams += 1;
                if handle.state() == State::Closed {
                    return Ok(seams);
                }
            }
        }
    }
}

fn report(events: &EventCounts, reading: &Reading) -> Report {
    Report {
        losses: events.losses.load(SeqCst),
        reconnects: events.connections.load(SeqCst).saturating_sub(1),
        to_server: 0,
        to_client: reading.checker.total(),
    }
}
