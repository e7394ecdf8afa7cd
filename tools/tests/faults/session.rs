//! One cell of sessions: a fault in the middle of an operation.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use reconnecting_stream::testing::{FaultProxy, Plan};
use reconnecting_stream::{
    Backoff, Policy, ResumableListener, ResumableStream, SessionOptions, State,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::cell::{Operation, Report};
use reconnecting_stream_tools::lab::client::EventCounts;
use reconnecting_stream_tools::lab::pattern::Place;
use reconnecting_stream_tools::lab::{Failure, failure};

/// So many bytes go in the direction that a cell is about.
pub(crate) const MUCH: usize = 24 * 1024;
const LITTLE: usize = 100;
/// So many connections have the fault.
const FAULTY: u64 = 2;
const MS: Duration = Duration::from_millis(1);

/// How the client's stream is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halves {
    Whole,
    Owned,
    /// Of `tokio::io::split`.
    Shared,
}

#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) plan: Plan,
    pub(crate) operation: Operation,
    pub(crate) halves: Halves,
}

impl Cell {
    pub(crate) fn name(&self) -> String {
        let (operation, halves) = (self.operation, self.halves);
        format!("session: {} x {operation:?} x {halves:?}", self.name)
    }

    /// On a busy machine a connection may be lost before it has come to its fault, or all of them
    /// before a byte has moved. Then its timers are made longer.
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        for tries in 0..10 {
            let Some((report, injected)) = self.try_once(1 << (tries / 2)).await? else {
                continue;
            };
            // Slow connections are not replaced, and after a late loss little is left for another one.
            let is_last = report.losses == 0 || self.name.contains("late");
            if injected >= FAULTY || is_last && injected > 0 {
                return Ok(report);
            }
        }
        Err("the fault does not happen".into())
    }

    /// Returns how many faults have happened, too. The timers of connections are so many times longer.
    /// `None`: they were too short for this machine.
    async fn try_once(&self, longer: u32) -> Result<Option<(Report, u64)>, Failure> {
        let listener = ResumableListener::builder().options(options(longer));
        let listener = listener.bind("127.0.0.1:0").await.map_err(failure)?;
        let proxy = FaultProxy::start(listener.local_addr().map_err(failure)?);
        let proxy = proxy.await.map_err(failure)?;
        proxy.script((0..FAULTY).map(|_| self.plan.clone()));
        let events = Arc::new(EventCounts::default());
        let client = connect(proxy.addr(), &events, longer);
        let handle = client.handle();
        let (to_server, to_client) = self.lengths();
        let served = async {
            let stream = listener.accept().await?;
            serve(stream, self.operation, to_server, to_client).await
        };
        let both = async { tokio::try_join!(served, self.talk(client)) };
        let ended = tokio::select! {
            both = both => Some(both),
            () = too_short_timers(&events) => None,
        };
        // It dials until it knows that its last bytes, or its end, have arrived, and the port of the
        // proxy may be that of another cell soon.
        handle.close();
        while handle.state() != State::Closed {
            sleep(MS).await;
        }
        let Some(both) = ended else {
            return Ok(None);
        };
        both.map_err(failure)?;
        let report = Report {
            losses: events.losses.load(SeqCst),
            reconnects: events.connections.load(SeqCst).saturating_sub(1),
            to_server: to_server as u64,
            to_client: to_client as u64,
        };
        Ok(Some((report, proxy.stats().faults())))
    }

    /// How many bytes go to the server and to the client.
    fn lengths(&self) -> (usize, usize) {
        match self.operation {
            Operation::Read | Operation::Shutdown => (LITTLE, MUCH),
            Operation::Write | Operation::WriteVectored | Operation::Flush => (MUCH, LITTLE),
        }
    }

    /// The client's side.
    async fn talk(&self, mut client: ResumableStream) -> io::Result<()> {
        let (to_server, to_client) = self.lengths();
        match self.halves {
            Halves::Whole => {
                write(&mut client, self.operation, 1, to_server).await?;
                read(&mut client, 2, to_client).await
            }
            Halves::Owned => {
                let (reader, writer) = client.into_split();
                self.talk_in_two(reader, writer).await
            }
            Halves::Shared => {
                let (reader, writer) = split(client);
                self.talk_in_two(reader, writer).await
            }
        }
    }

    async fn talk_in_two(
        &self,
        mut reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin + Send + 'static,
    ) -> io::Result<()> {
        let (operation, (to_server, to_client)) = (self.operation, self.lengths());
        let writing =
            tokio::spawn(async move { write(&mut writer, operation, 1, to_server).await });
        read(&mut reader, 2, to_client).await?;
        writing.await?
    }
}

/// Completes once the client has replaced connections all the time for seconds. One that hangs makes
/// none.
async fn too_short_timers(events: &EventCounts) {
    let made = || events.connections.load(SeqCst) + events.failed_attempts.load(SeqCst);
    loop {
        let before = made();
        sleep(Duration::from_secs(5)).await;
        if made() >= before + 20 {
            return;
        }
    }
}

/// Dead connections are found within a fraction of a second.
fn options(longer: u32) -> SessionOptions {
    SessionOptions::new()
        .ping_after(40 * longer * MS)
        .dead_after(80 * longer * MS)
        // A server keeps a session that is not confirmed for so long.
        .handshake_timeout(Duration::from_secs(10))
        .max_resumes_per_second(u32::MAX)
}

fn connect(address: SocketAddr, events: &Arc<EventCounts>, longer: u32) -> ResumableStream {
    let policy = Policy::default()
        .backoff(Backoff::constant(2 * MS))
        .attempt_timeout(300 * longer * MS)
        .max_attempts(None);
    ResumableStream::builder(move || TcpStream::connect(address))
        .policy(policy)
        .options(options(longer))
        .on_event(events.observer())
        .lazy()
}

/// The server's side: it answers a shutdown, and talks at the same time otherwise.
async fn serve(
    stream: ResumableStream,
    operation: Operation,
    to_server: usize,
    to_client: usize,
) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    if operation == Operation::Shutdown {
        read(&mut reader, 1, to_server).await?;
        return write(&mut writer, operation, 2, to_client).await;
    }
    tokio::try_join!(
        read(&mut reader, 1, to_server),
        write(&mut writer, operation, 2, to_client)
    )?;
    Ok(())
}

/// Writes so many bytes of the pattern and the end.
async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    operation: Operation,
    pattern: u64,
    len: usize,
) -> io::Result<()> {
    let all: Vec<u8> = Place::beginning(pattern).bytes().take(len).collect();
    for chunk in all.chunks(256) {
        if operation == Operation::WriteVectored {
            let (first, second) = chunk.split_at(chunk.len() / 3);
            let n = writer
                .write_vectored(&[io::IoSlice::new(first), io::IoSlice::new(second)])
                .await?;
            writer.write_all(&chunk[n..]).await?;
        } else {
            writer.write_all(chunk).await?;
        }
        if operation == Operation::Flush {
            writer.flush().await?;
        }
    }
    writer.shutdown().await
}

/// Reads the pattern and the end.
async fn read(reader: &mut (impl AsyncRead + Unpin), pattern: u64, len: usize) -> io::Result<()> {
    let mut all = Vec::new();
    reader.read_to_end(&mut all).await?;
    if all.len() == len && Place::beginning(pattern).matches(&all) == len {
        return Ok(());
    }
    let right = Place::beginning(pattern).matches(&all);
    let what = format!("{right} right bytes of {}, expected {len}", all.len());
    Err(io::Error::new(io::ErrorKind::InvalidData, what))
}

/// Talks over a plain connection through the fault.
pub(crate) async fn control(plan: Plan) -> io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let proxy = FaultProxy::start(listener.local_addr()?).await?;
    proxy.script([plan]);
    let served = async {
        let (mut stream, _) = listener.accept().await?;
        read(&mut stream, 1, MUCH).await?;
        write(&mut stream, Operation::Write, 2, MUCH).await
    };
    let talked = async {
        let mut stream = TcpStream::connect(proxy.addr()).await?;
        write(&mut stream, Operation::Write, 1, MUCH).await?;
        read(&mut stream, 2, MUCH).await
    };
    tokio::try_join!(served, talked)?;
    Ok(())
}
