//! A port that listens or refuses, and stays reserved.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

/// How many connections the kernel keeps until they are accepted, at most.
pub(super) const BACKLOG: u32 = 1024;

#[derive(Debug)]
pub(super) struct Port {
    addr: SocketAddr,
    /// Bound to `addr` and not listening, so that the system gives the port to no other socket
    /// while it refuses. `None` if the system doesn't allow it beside a listener.
    reserve: Option<TcpSocket>,
    state: State,
}

#[derive(Debug)]
enum State {
    Listening(TcpListener),
    /// Without a time, it refuses until it is told to listen.
    Refusing {
        until: Option<Instant>,
    },
}

impl Port {
    pub(super) fn open() -> io::Result<Self> {
        let reserve = bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let mut port = Self {
            addr: reserve.local_addr()?,
            reserve: Some(reserve),
            state: State::Refusing { until: None },
        };
        port.listen()?;
        Ok(port)
    }

    pub(super) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// When the refusal is over.
    pub(super) const fn until(&self) -> Option<Instant> {
        match self.state {
            State::Listening(_) => None,
            State::Refusing { until } => until,
        }
    }

    /// After an error it refuses as before.
    pub(super) fn listen(&mut self) -> io::Result<()> {
        if let State::Listening(_) = self.state {
            return Ok(());
        }
        let socket = match self.reserve.take() {
            Some(socket) => socket,
            None => bind(self.addr)?,
        };
        // Before the other one listens, which is when Linux allows it.
        self.reserve = bind(self.addr).ok();
        self.state = State::Listening(socket.listen(BACKLOG)?);
        Ok(())
    }

    /// The longest of several refusals counts.
    pub(super) fn refuse(&mut self, time: Option<Instant>) {
        match &mut self.state {
            State::Refusing { until } => *until = until.zip(time).map(|(a, b)| a.max(b)),
            State::Listening(listener) => {
                // On Linux this stops a child process, too, that shares the listener until its
                // `exec`. Elsewhere it fails.
                let _ = SockRef::from(&*listener).shutdown(Shutdown::Read);
                self.state = State::Refusing { until: time };
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
            State::Listening(listener) => listener.poll_accept(cx).map_ok(|(client, _)| client),
            State::Refusing { .. } => Poll::Pending,
        }
    }

    /// Asks the kernel, which knows of a connection before the reactor does.
    pub(super) fn try_accept(&self) -> Option<TcpStream> {
        let State::Listening(listener) = &self.state else {
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
    let socket = TcpSocket::new_v4()?;
    // Earlier connections keep the port, too; on Windows it would let others take it.
    socket.set_reuseaddr(cfg!(not(windows)))?;
    socket.bind(addr)?;
    Ok(socket)
}
