//! The connector for Unix sockets.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use socket2::SockRef;
use tokio::net::UnixStream;

use super::attempt::Attempt;
use super::connect::Connect;

/// Connects to a server on the same machine, over a Unix socket.
///
/// A server that restarts leaves its socket file behind, or removes it and makes it again. Until it
/// listens, an attempt fails with [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) or
/// [`NotFound`](io::ErrorKind::NotFound), or with [`WouldBlock`](io::ErrorKind::WouldBlock) if its
/// queue is full. All three are retried under the default [`Policy`](crate::Policy). A denied
/// permission is retried after the first connection.
///
/// To check who listens, call `UnixStream::peer_cred` in [`and_then`](Connect::and_then).
///
/// # Defaults
///
/// The buffer sizes are the system's.
///
/// # Errors
///
/// An attempt fails with the error of the system, whose kind it keeps and which is its source. Its
/// text begins with the path. A path that is too long, or has a zero byte behind its
/// first byte, is [`InvalidInput`](io::ErrorKind::InvalidInput), after which the stream gives up. One
/// that begins with a zero byte is an abstract name (`unix(7)`).
///
/// # Cancel safety
///
/// Dropping an attempt closes its socket.
///
/// # Examples
///
/// ```no_run
/// use reconnecting_stream::{ReconnectingUnixStream, UnixConnector};
///
/// # async fn example() -> std::io::Result<()> {
/// let connector = UnixConnector::new("/run/postgresql/.s.PGSQL.5432");
/// let stream = ReconnectingUnixStream::connect(connector).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct UnixConnector {
    /// An abstract name begins with a zero byte.
    path: PathBuf,
    send_buffer_size: Option<u32>,
    recv_buffer_size: Option<u32>,
}

impl UnixConnector {
    /// Returns a connector to the socket at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            send_buffer_size: None,
            recv_buffer_size: None,
        }
    }

    /// Returns a connector to the socket with this name in the abstract namespace (`unix(7)`), which
    /// has no file.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub fn abstract_name(name: impl AsRef<[u8]>) -> Self {
        use std::os::unix::ffi::OsStringExt;
        let path = [b"\0", name.as_ref()].concat();
        Self::new(std::ffi::OsString::from_vec(path))
    }

    /// Sets the size of the socket's send buffer in bytes (`SO_SNDBUF`); `None` for the system's.
    pub fn send_buffer_size(mut self, bytes: impl Into<Option<u32>>) -> Self {
        self.send_buffer_size = bytes.into();
        self
    }

    /// Sets the size of the socket's receive buffer in bytes (`SO_RCVBUF`); `None` for the system's.
    /// On Linux it has no effect, because the sender's buffer counts (`unix(7)`).
    pub fn recv_buffer_size(mut self, bytes: impl Into<Option<u32>>) -> Self {
        self.recv_buffer_size = bytes.into();
        self
    }

    async fn open(&self) -> io::Result<UnixStream> {
        let stream = UnixStream::connect(&self.path).await?;
        let socket = SockRef::from(&stream);
        if let Some(size) = self.send_buffer_size {
            socket.set_send_buffer_size(size as usize)?;
        }
        if let Some(size) = self.recv_buffer_size {
            socket.set_recv_buffer_size(size as usize)?;
        }
        Ok(stream)
    }
}

impl Connect for UnixConnector {
    type Io = UnixStream;
    type Future = Pin<Box<dyn Future<Output = io::Result<UnixStream>> + Send>>;

    fn connect(&mut self, _attempt: &Attempt) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let opened = connector.open().await;
            opened.map_err(|error| io::Error::new(error.kind(), Failed { connector, error }))
        })
    }
}

/// The error of an attempt.
#[derive(Debug)]
struct Failed {
    connector: UnixConnector,
    error: io::Error,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.connector.path.to_string_lossy();
        match path.strip_prefix('\0') {
            Some(name) => write!(f, "@{}: {}", name.escape_debug(), self.error),
            None => write!(f, "{}: {}", path.escape_debug(), self.error),
        }
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}
