//! From a reset to the first byte after it: a session, beside a raw connection that is made again and
//! carries a request and a reply. Both ends are tasks of one runtime.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use reconnecting_stream::{Accepted, Backoff, Policy, ResumableStream, SessionOptions, Sessions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

pub(crate) const LOSSES: usize = 101;

/// Returns the median of the times, of raw connections or of a session.
pub(crate) async fn median(is_session: bool) -> io::Result<Duration> {
    let reset = Reset::default();
    let mut times = match is_session {
        true => session(&reset).await?,
        false => raw(&reset).await?,
    };
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

async fn session(reset: &Reset) -> io::Result<Vec<Duration>> {
    let sessions = Sessions::new(SessionOptions::new().max_resumes_per_second(u32::MAX));
    let (sender, accepted) = oneshot::channel();
    let mut sender = Some(sender);
    let (listener, server) = (TcpListener::bind("127.0.0.1:0").await?, reset.clone());
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let socket = server.wrap(socket);
            if let Ok(Accepted::New(stream)) = sessions.accept(socket).await {
                let _ = sender.take().map(|sender| sender.send(stream));
            }
        }
    });
    let at_once = Policy::default()
        .backoff(Backoff::constant(Duration::ZERO))
        .max_attempts(None);
    let client = ResumableStream::builder(move || TcpStream::connect(address)).policy(at_once);
    let mut client = client.connect().await?;
    let mut server = accepted.await.map_err(io::Error::other)?;
    let mut times = Vec::new();
    for _ in 0..LOSSES {
        server.write_u8(b'x').await?;
        client.read_u8().await?;
        client.acknowledged().await?;
        reset.send();
        server.write_u8(b'x').await?;
        client.read_u8().await?;
        times.push(reset.elapsed());
    }
    Ok(times)
}

async fn raw(reset: &Reset) -> io::Result<Vec<Duration>> {
    let (listener, server) = (TcpListener::bind("127.0.0.1:0").await?, reset.clone());
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let mut socket = server.wrap(socket);
            tokio::spawn(async move {
                // Until it is reset.
                while let Ok(byte) = socket.read_u8().await {
                    socket.write_u8(byte).await?;
                }
                io::Result::Ok(())
            });
        }
    });
    let mut client = connect(address).await?;
    let mut times = Vec::new();
    for _ in 0..LOSSES {
        client.write_u8(b'x').await?;
        client.read_u8().await?;
        reset.send();
        if client.read_u8().await.is_ok() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        client = connect(address).await?;
        client.write_u8(b'x').await?;
        client.read_u8().await?;
        times.push(reset.elapsed());
    }
    Ok(times)
}

async fn connect(address: std::net::SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Resets the server's end of the current connection.
#[derive(Clone, Default)]
struct Reset(Arc<Mutex<LastReset>>);

#[derive(Default)]
struct LastReset {
    /// Resets the current connection.
    sender: Option<oneshot::Sender<()>>,
    at: Option<Instant>,
}

impl Reset {
    fn lock(&self) -> MutexGuard<'_, LastReset> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrap(&self, socket: TcpStream) -> Resettable {
        let _ = socket.set_nodelay(true);
        let (sender, receiver) = oneshot::channel();
        self.lock().sender = Some(sender);
        Resettable {
            socket: Some(socket),
            receiver,
            reset: self.clone(),
        }
    }

    fn send(&self) {
        let sender = self.lock().sender.take();
        let _ = sender.map(|sender| sender.send(()));
    }

    /// Returns how long ago the last reset was.
    fn elapsed(&self) -> Duration {
        self.lock().at.map_or(Duration::ZERO, |at| at.elapsed())
    }
}

struct Resettable {
    socket: Option<TcpStream>,
    receiver: oneshot::Receiver<()>,
    reset: Reset,
}

impl Resettable {
    fn get(&mut self, cx: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        if self.socket.is_some() && Pin::new(&mut self.receiver).poll(cx) == Poll::Ready(Ok(())) {
            // Its RST has arrived when the drop returns: this is loopback.
            if let Some(socket) = self.socket.take() {
                socket.set_zero_linger()?;
                self.reset.lock().at = Some(Instant::now());
            }
        }
        let socket = self.socket.as_mut().ok_or(io::ErrorKind::ConnectionReset)?;
        Ok(Pin::new(socket))
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get(cx)?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get(cx)?.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get(cx)?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.get(cx)?.poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}
