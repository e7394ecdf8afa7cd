//! The work of both ends, over a raw connection or a session.

use std::fs;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::{Duration, Instant};

use reconnecting_stream::ResumableStream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime;
use tokio::task::JoinSet;

use crate::ends::{Dial, FarEnd, Over, listen};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// One direction, in writes of this size.
    Send { size: usize, mib: u32 },
    /// Both directions at the same time.
    Both { size: usize, mib: u32 },
    /// A message of 64 B there and back, so many times.
    PingPong { times: u32 },
    /// Ping-pong on so many connections at the same time. In one runtime only.
    Many { connections: u32, times: u32 },
}

/// What the work took: by the clock, and on the processor at both ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) time: Duration,
    pub(crate) processor: Duration,
}

const MIB: usize = 1024 * 1024;

pub(crate) fn runtime() -> io::Result<runtime::Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

/// The other end: what it does is the first byte that arrives.
pub(crate) async fn answer<T: AsyncRead + AsyncWrite + Unpin>(mut io: T) -> io::Result<()> {
    let work = io.read_u8().await?;
    let began = processor_time();
    let mut buffer = vec![0; 64 * 1024];
    match work {
        b'P' => loop {
            let mut message = [0; 64];
            if io.read_exact(&mut message).await.is_err() || message[0] == b'.' {
                break;
            }
            io.write_all(&message).await?;
        },
        b'B' => {
            let bytes = io.read_u64().await?;
            exchange(&mut io, usize::try_from(bytes).unwrap_or(0), 32 * 1024).await?;
        }
        _ => while read_until_dot(&mut io, &mut buffer).await? {},
    }
    let took = processor_time().saturating_sub(began);
    io.write_u64(u64::try_from(took.as_nanos()).unwrap_or(0))
        .await?;
    io.flush().await?;
    // Until the client is gone.
    let _ = io.read(&mut buffer).await;
    Ok(())
}

/// Returns false when the last byte is the mark of the end.
async fn read_until_dot<T: AsyncRead + Unpin>(io: &mut T, buffer: &mut [u8]) -> io::Result<bool> {
    let n = io.read(buffer).await?;
    Ok(n > 0 && buffer[n - 1] != b'.')
}

/// Writes and reads so many bytes at the same time.
async fn exchange<T: AsyncRead + AsyncWrite + Unpin>(
    io: &mut T,
    bytes: usize,
    size: usize,
) -> io::Result<()> {
    let (chunk, mut buffer) = (vec![0; size], vec![0; 64 * 1024]);
    let (mut to_write, mut to_read) = (bytes, bytes);
    poll_fn(|cx| {
        loop {
            let mut waits = 0;
            if to_write > 0 {
                let part = &chunk[..size.min(to_write)];
                match Pin::new(&mut *io).poll_write(cx, part)? {
                    std::task::Poll::Ready(n) => to_write -= n,
                    std::task::Poll::Pending => waits += 1,
                }
            } else {
                waits += 1;
            }
            if to_read > 0 {
                // Not beyond it: the peer's answer follows.
                let most = buffer.len().min(to_read);
                let mut buf = tokio::io::ReadBuf::new(&mut buffer[..most]);
                match Pin::new(&mut *io).poll_read(cx, &mut buf)? {
                    std::task::Poll::Ready(()) => to_read -= buf.filled().len(),
                    std::task::Poll::Pending => waits += 1,
                }
            } else {
                waits += 1;
            }
            if to_write == 0 && to_read == 0 {
                return std::task::Poll::Ready(io::Result::Ok(()));
            }
            if waits == 2 {
                return std::task::Poll::Pending;
            }
        }
    })
    .await
}

/// Does the work once, with the other end in the process at `far`, or here.
///
/// It is a task as the other end is: to wake the future of `block_on` costs this runtime one more
/// `epoll_wait`, which a session pays and a raw connection does not.
pub(crate) fn client(
    work: Work,
    over: Over,
    is_session: bool,
    far: Option<FarEnd>,
) -> io::Result<Measured> {
    let task = async move {
        let is_alone = far.is_none();
        let far = match far {
            Some(far) => far,
            None => listen().await?,
        };
        let dial = Dial::new(&far, over, is_session);
        if let Work::Many { connections, times } = work {
            return many(&dial, is_session, connections, times).await;
        }
        match (over, is_session) {
            (Over::Tcp, false) => run(dial.tcp().await?, work, is_alone).await,
            (Over::Tls, false) => run(dial.tls().await?, work, is_alone).await,
            (Over::Tcp, true) => {
                let stream = ResumableStream::connect(move || dial.clone().tcp());
                run(stream.await?, work, is_alone).await
            }
            (Over::Tls, true) => {
                let stream = ResumableStream::connect(move || dial.clone().tls());
                run(stream.await?, work, is_alone).await
            }
        }
    };
    runtime()?.block_on(async { tokio::spawn(task).await? })
}

async fn many(dial: &Dial, is_session: bool, connections: u32, times: u32) -> io::Result<Measured> {
    let (mut raw, mut sessions) = (Vec::new(), Vec::new());
    for _ in 0..connections {
        let dial = dial.clone();
        if is_session {
            let connector = move || dial.clone().tcp();
            sessions.push(ResumableStream::connect(connector).await?);
        } else {
            raw.push(dial.tcp().await?);
        }
    }
    let (began, processor) = (Instant::now(), processor_time());
    let work = Work::PingPong { times };
    let mut tasks = JoinSet::new();
    for stream in raw {
        tasks.spawn(run(stream, work, true));
    }
    for stream in sessions {
        tasks.spawn(run(stream, work, true));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(Measured {
        time: began.elapsed(),
        processor: processor_time().saturating_sub(processor),
    })
}

async fn run<T>(mut io: T, work: Work, is_alone: bool) -> io::Result<Measured>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (began, processor) = (Instant::now(), processor_time());
    match work {
        Work::Send { size, mib } => {
            io.write_u8(b'S').await?;
            let chunk = vec![b'x'; size];
            for _ in 0..mib as usize * MIB / size {
                io.write_all(&chunk).await?;
            }
            io.write_u8(b'.').await?;
        }
        Work::Both { size, mib } => {
            let bytes = mib as usize * MIB;
            io.write_u8(b'B').await?;
            io.write_u64(bytes as u64).await?;
            exchange(&mut io, bytes, size).await?;
        }
        Work::PingPong { times } => {
            io.write_u8(b'P').await?;
            let mut message = [b'x'; 64];
            for _ in 0..times {
                io.write_all(&message).await?;
                io.read_exact(&mut message).await?;
            }
            message[0] = b'.';
            io.write_all(&message).await?;
        }
        Work::Many { .. } => return Err(io::ErrorKind::Unsupported.into()),
    }
    io.flush().await?;
    let peer = Duration::from_nanos(io.read_u64().await?);
    let own = processor_time().saturating_sub(processor);
    // In one runtime the other end's time is this thread's.
    let processor = if is_alone { own } else { own + peer };
    Ok(Measured {
        time: began.elapsed(),
        processor,
    })
}

/// Returns how long this thread has run, from `/proc/thread-self/schedstat` (proc(5)).
fn processor_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next().unwrap_or_default();
    Duration::from_nanos(first.parse().unwrap_or(0))
}
