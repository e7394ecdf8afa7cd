//! A server that fails its client in every way.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy, sink};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::{Console, REFUSALS, REQUESTS, ROUNDS, Tally};

/// What the server says first on each connection.
pub(crate) const GREETING: &[u8] = b"ready\n";
/// How many connections may wait to be accepted.
const BACKLOG: u32 = 16;

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

/// Answers requests, and injects faults.
pub(crate) struct Server {
    address: SocketAddr,
    /// What the client has seen so far.
    seen: watch::Receiver<Tally>,
    console: Console,
}

impl Server {
    pub(crate) fn new(address: SocketAddr, seen: watch::Receiver<Tally>, console: Console) -> Self {
        Self {
            address,
            seen,
            console,
        }
    }

    /// Injects every fault in every round; each one in place of an answer. From then on only
    /// answers.
    pub(crate) async fn run(mut self, mut listener: TcpListener) -> io::Result<()> {
        for fault in (0..ROUNDS).flat_map(|_| Fault::ALL) {
            let (io, request) = serve(&listener, REQUESTS).await?;
            self.console.say("server", fault);
            listener = self.inject(fault, io, &request, listener).await?;
        }
        tokio::spawn(async move { serve(&listener, u32::MAX).await });
        Ok(())
    }

    /// Returns the listener that the client shall find next.
    async fn inject(
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

pub(crate) fn answer_to(request: &[u8]) -> Vec<u8> {
    [b"answer to ", request].concat()
}

/// Says nothing until the client has hung up, which may be a reset.
async fn until_left(mut io: TcpStream) {
    let _ = copy(&mut io, &mut sink()).await;
}

/// On a port that is free.
pub(crate) fn listen() -> io::Result<TcpListener> {
    bind((Ipv4Addr::LOCALHOST, 0).into())?.listen(BACKLOG)
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections of the crashed server don't stand in the way. On Windows they never do, and
    // the option means something else.
    socket.set_reuseaddr(cfg!(not(windows)))?;
    socket.bind(address)?;
    Ok(socket)
}
