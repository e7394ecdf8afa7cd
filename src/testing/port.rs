//! A port that listens or refuses, and stays ours.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{Instant, sleep};

const BACKLOG: u32 = 1024;

/// What the port is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Listen,
    RefuseUntil(Instant),
    Refuse,
}

#[derive(Debug)]
pub(super) enum Port {
    Listening(TcpListener),
    /// Bound, so that nobody else gets it, and not listening.
    Refusing(TcpSocket),
}

impl Port {
    pub(super) fn open() -> io::Result<Self> {
        reserve((Ipv4Addr::LOCALHOST, 0).into())?
            .listen(BACKLOG)
            .map(Self::Listening)
    }

    pub(super) fn addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Listening(listener) => listener.local_addr(),
            Self::Refusing(socket) => socket.local_addr(),
        }
    }

    pub(super) fn listen(self) -> io::Result<Self> {
        match self {
            Self::Listening(listener) => Ok(Self::Listening(listener)),
            Self::Refusing(socket) => socket.listen(BACKLOG).map(Self::Listening),
        }
    }

    pub(super) async fn refuse(self) -> io::Result<Self> {
        let Self::Listening(listener) = self else {
            return Ok(self);
        };
        let addr = listener.local_addr()?;
        drop(listener);
        loop {
            match reserve(addr) {
                // A child of this process has the listener until its `exec`.
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    sleep(Duration::from_millis(1)).await;
                }
                reserved => return reserved.map(Self::Refusing),
            }
        }
    }
}

fn reserve(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections of before keep the port, too; on Windows it would let others take it.
    socket.set_reuseaddr(cfg!(not(windows)))?;
    socket.bind(addr)?;
    Ok(socket)
}
