//! The server's end over TCP.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::options::SessionOptions;
use super::queue::Queue;
use super::report;
use super::sessions::{Accepted, Sessions};
use super::stream::ResumableStream;

/// Accepts sessions over TCP.
///
/// A task accepts the connections, so a client resumes its session also while nothing waits in
/// [`accept`](Self::accept). It runs until the listener is dropped; from then on no session can be
/// resumed. A listener that is dropped after [`Sessions::shutdown`] was called keeps its port until the
/// last session has ended, so that a loop that ends with the error of `accept` takes nothing from the
/// sessions that are left.
///
/// # Examples
///
/// ```
/// use reconnecting_stream::{ResumableListener, ResumableStream};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use tokio::net::TcpStream;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = ResumableListener::bind("127.0.0.1:0").await?;
/// let address = listener.local_addr()?;
/// tokio::spawn(async move {
///     let mut stream = listener.accept().await?;
///     let mut request = String::new();
///     stream.read_to_string(&mut request).await?;
///     stream.write_all(request.to_uppercase().as_bytes()).await?;
///     stream.shutdown().await
/// });
///
/// let mut stream = ResumableStream::connect(move || TcpStream::connect(address)).await?;
/// stream.write_all(b"hello").await?;
/// // The connection dies. The session continues on another one.
/// stream.handle().reconnect();
/// stream.shutdown().await?;
/// let mut reply = String::new();
/// stream.read_to_string(&mut reply).await?;
/// assert_eq!(reply, "HELLO");
/// # Ok(())
/// # }
/// ```
pub struct ResumableListener {
    sessions: Sessions,
    address: SocketAddr,
    queue: Queue,
    task: AbortHandle,
}

/// Builds a [`ResumableListener`].
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct ResumableListenerBuilder {
    options: SessionOptions,
}

impl ResumableListener {
    /// Listens on an address, with the default [`SessionOptions`].
    ///
    /// # Errors
    ///
    /// Those of [`TcpListener::bind`].
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with I/O and time enabled.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::builder().bind(address).await
    }

    /// Accepts the connections of a listener, with the default [`SessionOptions`].
    ///
    /// # Errors
    ///
    /// The system can't tell the listener's address.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time enabled.
    pub fn from_listener(listener: TcpListener) -> io::Result<Self> {
        Self::builder().from_listener(listener)
    }

    /// Returns a builder, to set options.
    pub fn builder() -> ResumableListenerBuilder {
        ResumableListenerBuilder::default()
    }

    /// Waits for the next session. Of several calls that wait, each gets another one.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](ErrorKind::NotConnected) after [`Sessions::shutdown`], and if the runtime is
    /// gone in which the listener was made. The sessions that have begun before are returned first. What
    /// goes wrong with one connection, or when the system runs out of descriptors, is logged and is no
    /// error here.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no session.
    pub async fn accept(&self) -> io::Result<ResumableStream> {
        self.queue.next(self.sessions.shut_down()).await
    }

    /// Returns the address that the listener is bound to.
    ///
    /// # Errors
    ///
    /// None. The type is that of [`TcpListener::local_addr`].
    pub const fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    /// Returns the sessions of the listener: how many there are, and how to shut them down.
    #[must_use]
    pub const fn sessions(&self) -> &Sessions {
        &self.sessions
    }
}

impl ResumableListenerBuilder {
    /// Sets the buffers, the timers and the limits.
    pub const fn options(mut self, options: SessionOptions) -> Self {
        self.options = options;
        self
    }

    /// Listens on an address.
    ///
    /// # Errors
    ///
    /// Those of [`TcpListener::bind`].
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with I/O and time enabled.
    pub async fn bind(self, address: impl ToSocketAddrs) -> io::Result<ResumableListener> {
        self.from_listener(TcpListener::bind(address).await?)
    }

    /// Accepts the connections of a listener.
    ///
    /// # Errors
    ///
    /// The system can't tell the listener's address.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time enabled.
    pub fn from_listener(self, listener: TcpListener) -> io::Result<ResumableListener> {
        let address = listener.local_addr()?;
        let sessions = Sessions::new(self.options);
        let (sender, streams) = mpsc::unbounded_channel();
        let task = tokio::spawn(run(listener, sessions.clone(), sender));
        Ok(ResumableListener {
            sessions,
            address,
            queue: Queue::new(streams),
            task: task.abort_handle(),
        })
    }
}

/// The longest wait after an error of `accept`.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Accepts connections until the listener is dropped and there is no session.
async fn run(
    listener: TcpListener,
    sessions: Sessions,
    sender: mpsc::UnboundedSender<ResumableStream>,
) {
    let mut end = pin!(async {
        sender.closed().await;
        sessions.drained().await;
    });
    let mut accepting = pin!(accept_all(listener, &sessions, &sender));
    poll_fn(|cx| match end.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => accepting.as_mut().poll(cx),
    })
    .await;
}

/// Accepts connections. Each handshake is a task.
async fn accept_all(
    listener: TcpListener,
    sessions: &Sessions,
    sender: &mpsc::UnboundedSender<ResumableStream>,
) {
    let mut wait = Duration::ZERO;
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                wait = Duration::ZERO;
                let (sessions, sender) = (sessions.clone(), sender.clone());
                tokio::spawn(async move {
                    match sessions.accept(socket).await {
                        // If the listener is gone, so is the session.
                        Ok(Accepted::New(stream)) => drop(sender.send(stream)),
                        Ok(Accepted::Resumed) => {}
                        Err(error) => report::handshake_failed(&error),
                    }
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Without descriptors (EMFILE) the listener stays readable: do not spin.
                report::accept_failed(&error);
                wait = (wait * 2).clamp(Duration::from_millis(10), MAX_WAIT);
                sleep(wait).await;
            }
        }
    }
}

/// Returns whether the connection that was to be accepted has failed, and not the listener: see
/// `accept(2)`, "Error handling".
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}

impl Drop for ResumableListener {
    fn drop(&mut self) {
        // Otherwise the task ends with the last session.
        if !self.sessions.is_shut_down() {
            self.task.abort();
        }
    }
}

impl fmt::Debug for ResumableListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumableListener")
            .field("address", &self.address)
            .field("sessions", &self.sessions)
            .finish_non_exhaustive()
    }
}
