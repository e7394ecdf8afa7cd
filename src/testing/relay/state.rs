//! The sockets of a connection, and the transitions that end, stall or resume it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::super::socket::{close, connect, register_again, reset};

/// The open sockets of a connection, and what the relay does with them.
pub(super) enum RelayState {
    Connecting {
        client: TcpStream,
        /// Stored across events, because the server may have accepted before the proxy knows.
        server: ConnectFuture,
    },
    Relaying {
        client: TcpStream,
        server: TcpStream,
    },
    /// Nothing is relayed until a `Resume`.
    Stalled {
        client: TcpStream,
        server: StalledServer,
        /// When both sides are closed.
        until: Option<Instant>,
    },
    HalfOpen {
        client: TcpStream,
    },
    Ended,
}

/// The server's side of a stalled connection.
pub(super) enum StalledServer {
    /// Not polled, so a connect that has not begun does not begin. A begun one continues in the
    /// kernel.
    Connecting(ConnectFuture),
    Connected(TcpStream),
}

type ConnectFuture = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

impl RelayState {
    pub(super) fn connecting(client: TcpStream, server: SocketAddr) -> Self {
        let server = Box::pin(connect(server));
        Self::Connecting { client, server }
    }

    fn into_sides(self) -> (Option<TcpStream>, Option<TcpStream>) {
        match self {
            Self::Connecting { client, .. } | Self::HalfOpen { client } => (Some(client), None),
            Self::Relaying { client, server } => (Some(client), Some(server)),
            Self::Stalled { client, server, .. } => match server {
                StalledServer::Connecting(_) => (Some(client), None),
                StalledServer::Connected(server) => (Some(client), Some(server)),
            },
            Self::Ended => (None, None),
        }
    }

    pub(super) fn reset(self) -> Self {
        let (client, server) = self.into_sides();
        client.into_iter().chain(server).for_each(reset);
        Self::Ended
    }

    pub(super) fn close(self) -> Self {
        let (client, server) = self.into_sides();
        client.into_iter().chain(server).for_each(close);
        Self::Ended
    }

    pub(super) fn drop_server(self) -> Self {
        let (client, server) = self.into_sides();
        server.into_iter().for_each(reset);
        client.map_or(Self::Ended, |client| Self::HalfOpen { client })
    }

    pub(super) fn stall(self, until: Option<Instant>) -> Self {
        let (client, server) = match self {
            Self::Connecting { client, server } => (client, StalledServer::Connecting(server)),
            Self::Relaying { client, server } => (client, StalledServer::Connected(server)),
            Self::Stalled { client, server, .. } => (client, server),
            Self::HalfOpen { .. } | Self::Ended => return self,
        };
        Self::Stalled {
            client,
            server,
            until,
        }
    }

    pub(super) fn resume(self) -> Self {
        let Self::Stalled { client, server, .. } = self else {
            return self;
        };
        let Ok(client) = register_again(client) else {
            return Self::Ended;
        };
        match server {
            StalledServer::Connecting(server) => Self::Connecting { client, server },
            StalledServer::Connected(server) => match register_again(server) {
                Ok(server) => Self::Relaying { client, server },
                Err(_) => Self::Ended,
            },
        }
    }
}
