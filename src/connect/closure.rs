//! Connectors from closures.

use std::fmt;
use std::future::Future;
use std::io;

use super::attempt::Attempt;
use super::connect::Connect;

/// Returns a connector from a closure that takes the [`Attempt`].
///
/// # Examples
///
/// ```
/// use reconnecting_stream::connect_fn;
/// use tokio::net::TcpStream;
///
/// let replicas = ["127.0.0.1:6379", "127.0.0.1:6380"];
/// let connector = connect_fn(move |attempt| {
///     let replica = replicas[(attempt.number as usize - 1) % replicas.len()];
///     TcpStream::connect(replica)
/// });
/// # let _ = connector;
/// ```
pub fn connect_fn<F, Fut, Io>(f: F) -> ConnectFn<F>
where
    F: FnMut(&Attempt) -> Fut,
    Fut: Future<Output = io::Result<Io>>,
{
    ConnectFn(f)
}

/// The connector that [`connect_fn`] returns.
#[derive(Clone, Copy)]
pub struct ConnectFn<F>(F);

impl<F, Fut, Io> Connect for ConnectFn<F>
where
    F: FnMut(&Attempt) -> Fut,
    Fut: Future<Output = io::Result<Io>>,
{
    type Io = Io;
    type Future = Fut;

    fn connect(&mut self, attempt: &Attempt) -> Fut {
        (self.0)(attempt)
    }
}

impl<F, Fut, Io> Connect for F
where
    F: FnMut() -> Fut,
    Fut: Future<Output = io::Result<Io>>,
{
    type Io = Io;
    type Future = Fut;

    fn connect(&mut self, _attempt: &Attempt) -> Fut {
        self()
    }
}

impl<F> fmt::Debug for ConnectFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectFn").finish_non_exhaustive()
    }
}
