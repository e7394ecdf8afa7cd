//! The connection of an address.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
#[cfg(feature = "rustls")]
use tokio_rustls::client::TlsStream;

/// A connection that an [`AddressConnector`](crate::AddressConnector) has made.
#[derive(Debug)]
#[non_exhaustive]
pub enum AddressStream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over TLS.
    #[cfg(feature = "rustls")]
    Tls(Box<TlsStream<TcpStream>>),
    /// Over a Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Runs an expression with the connection, whichever it is.
macro_rules! with {
    ($stream:expr, $io:ident => $run:expr) => {
        match $stream {
            AddressStream::Tcp($io) => $run,
            #[cfg(feature = "rustls")]
            AddressStream::Tls($io) => $run,
            #[cfg(unix)]
            AddressStream::Unix($io) => $run,
        }
    };
}

impl AsyncRead for AddressStream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        with!(self.get_mut(), io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for AddressStream {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        with!(self.get_mut(), io => Pin::new(io).poll_write(cx, buf))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with!(self.get_mut(), io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        with!(self, io => io.is_write_vectored())
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self.get_mut(), io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self.get_mut(), io => Pin::new(io).poll_shutdown(cx))
    }
}

impl From<TcpStream> for AddressStream {
    fn from(io: TcpStream) -> Self {
        Self::Tcp(io)
    }
}

#[cfg(feature = "rustls")]
impl From<TlsStream<TcpStream>> for AddressStream {
    fn from(io: TlsStream<TcpStream>) -> Self {
        Self::Tls(Box::new(io))
    }
}

#[cfg(unix)]
impl From<UnixStream> for AddressStream {
    fn from(io: UnixStream) -> Self {
        Self::Unix(io)
    }
}
