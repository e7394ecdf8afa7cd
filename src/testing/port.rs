//! A port that either listens or refuses, and stays reserved in both cases.

use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

/// The maximum number of connections that the kernel queues until they are accepted.
pub(super) const BACKLOG: u32 = 1024;

#[derive(Debug)]
pub(super) struct Port {
    addr: SocketAddr,
    /// A socket bound to `addr` that does not listen. It keeps the system from giving the port to
    /// another socket while the proxy refuses. `None` if the system doesn't allow it beside a
    /// listener.
    reserve: Option<TcpSocket>,
    state: PortState,
}

#[derive(Debug)]
enum PortState {
    Listening(TcpListener),
    /// Refuses until this time, or until `listen` is called if there is none.
    Refusing {
        until: Option<Instant>,
    },
}

impl Port {
    /// Binds this address. The port 0 is any free one.
    pub(super) fn open(addr: SocketAddr) -> io::Result<Self> {
        let reserve = bind(addr)?;
        let mut port = Self {
            addr: reserve.local_addr()?,
            reserve: Some(reserve),
            state: PortState::Refusing { until: None },
        };
        port.listen()?;
        Ok(port)
    }

    pub(super) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns when the refusal ends, if it ends by itself.
    pub(super) const fn refuses_until(&self) -> Option<Instant> {
        match self.state {
            PortState::Listening(_) => None,
            PortState::Refusing { until } => until,
        }
    }

    /// Starts to listen. On an error the port refuses as before.
    pub(super) fn listen(&mut self) -> io::Result<()> {
        if let PortState::Listening(_) = self.state {
            return Ok(());
        }
        let socket = match self.reserve.take() {
            Some(socket) => socket,
            None => bind(self.addr)?,
        };
        // Linux allows a second bind only while the first socket does not listen yet.
        self.reserve = bind(self.addr).ok();
        self.state = PortState::Listening(socket.listen(BACKLOG)?);
        Ok(())
    }

    /// Refuses connections until `time`, or without end. The longest of several refusals counts.
    pub(super) fn refuse(&mut self, time: Option<Instant>) {
        match &mut self.state {
            PortState::Refusing { until } => *until = until.zip(time).map(|(a, b)| a.max(b)),
            PortState::Listening(listener) => {
                // On Linux this also stops the copy of the listener that a child process has until
                // its `exec`. Elsewhere it fails.
                let _ = SockRef::from(&*listener).shutdown(Shutdown::Read);
                self.state = PortState::Refusing { until: time };
                if self.reserve.is_none() {
                    self.reserve = bind(self.addr).ok();
                }
            }
        }
    }

    pub(super) fn close(&mut self) {
        self.refuse(None);
        self.reserve = None;
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        match &self.state {
            PortState::Listening(listener) => listener.poll_accept(cx).map_ok(|(client, _)| client),
            PortState::Refusing { .. } => Poll::Pending,
        }
    }

    /// Accepts directly from the kernel, which knows of a connection before the reactor does.
    pub(super) fn try_accept(&self) -> Option<TcpStream> {
        let PortState::Listening(listener) = &self.state else {
            return None;
        };
        loop {
            match SockRef::from(listener).accept() {
                Ok((client, _)) => {
                    client.set_nonblocking(true).ok()?;
                    return TcpStream::from_std(client.into()).ok();
                }
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(_) => return None,
            }
        }
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections in TIME_WAIT would block the bind. On Windows the option would let other sockets
    // take the port.
    socket.set_reuseaddr(cfg!(not(windows)))?;
    socket.bind(addr)?;
    Ok(socket)
}
