//! The handshake of one connection.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{self, pki_types::ServerName};

use crate::connect::then::Step;
use crate::error::Permanent;

/// The settings of a handshake.
#[derive(Clone)]
pub(super) struct StartHandshake {
    pub(super) server_name: ServerName<'static>,
    pub(super) tls: tokio_rustls::TlsConnector,
    pub(super) is_transient: fn(&rustls::Error) -> bool,
}

/// A running handshake.
pub(super) struct Handshake<Io> {
    connect: tokio_rustls::Connect<Io>,
    is_transient: fn(&rustls::Error) -> bool,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Step<Io> for StartHandshake {
    type Future = Handshake<Io>;

    fn start(&mut self, io: Io) -> Self::Future {
        Handshake {
            connect: self.tls.connect(self.server_name.clone(), io),
            is_transient: self.is_transient,
        }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Future for Handshake<Io> {
    type Output = io::Result<TlsStream<Io>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.connect).poll(cx));
        Poll::Ready(result.map_err(|error| tls_error(error, self.is_transient)))
    }
}

/// Returns the error of the attempt, which shows whether it is permanent.
fn tls_error(error: io::Error, is_transient: fn(&rustls::Error) -> bool) -> io::Error {
    let tls_error = error.get_ref().and_then(|error| error.downcast_ref());
    match tls_error.cloned() {
        // The error of the connection below.
        None => error,
        // Unlike the kind that rustls uses, this one is retried.
        Some(error) if is_transient(&error) => {
            io::Error::new(io::ErrorKind::ConnectionAborted, error)
        }
        Some(error) => io::Error::new(io::ErrorKind::InvalidData, Permanent::new(error)),
    }
}
