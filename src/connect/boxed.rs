//! A connector that hides the type of another one.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

use sync_wrapper::SyncWrapper;

use super::attempt::Attempt;
use super::connect::Connect;

/// A boxed connector, from [`Connect::boxed`]. Its type names only the connection.
///
/// It is `Send` and `Sync`, and allocates once per attempt.
///
/// # Examples
///
/// ```
/// use reconnecting_stream::{BoxConnector, Connect, ReconnectingStream};
/// use tokio::net::TcpStream;
///
/// struct Client {
///     stream: ReconnectingStream<BoxConnector<TcpStream>>,
/// }
///
/// let connector = (|| TcpStream::connect("127.0.0.1:6379")).boxed();
/// let client = Client { stream: ReconnectingStream::builder(connector).lazy() };
/// # let _ = client.stream;
/// ```
pub struct BoxConnector<Io>(SyncWrapper<BoxConnect<Io>>);

type BoxConnect<Io> = Box<dyn FnMut(&Attempt) -> BoxAttempt<Io> + Send>;

/// One attempt of a [`BoxConnector`].
type BoxAttempt<Io> = Pin<Box<dyn Future<Output = io::Result<Io>> + Send>>;

impl<Io> BoxConnector<Io> {
    pub(super) fn new<C>(mut connector: C) -> Self
    where
        C: Connect<Io = Io, Future: Send + 'static> + Send + 'static,
    {
        let connect =
            move |attempt: &Attempt| -> BoxAttempt<Io> { Box::pin(connector.connect(attempt)) };
        Self(SyncWrapper::new(Box::new(connect)))
    }
}

impl<Io> Connect for BoxConnector<Io> {
    type Io = Io;
    type Future = BoxAttempt<Io>;

    fn connect(&mut self, attempt: &Attempt) -> Self::Future {
        self.0.get_mut()(attempt)
    }
}

impl<Io> fmt::Debug for BoxConnector<Io> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxConnector").finish_non_exhaustive()
    }
}
