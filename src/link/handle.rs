//! The remote control of a link.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use super::State;
use super::control::{Command, Shared};

/// Watches and commands a stream from elsewhere.
///
/// A stream moves only when it is polled: a command wakes the tasks that wait for it, and takes
/// effect when one of them polls. Once the stream is dropped, commands do nothing.
///
/// # Examples
///
/// ```
/// use reconnecting_stream::{Handle, State};
///
/// async fn wait_until_connected(handle: &Handle) {
///     let mut states = handle.subscribe();
///     let _ = states
///         .wait_for(|state| matches!(state, State::Connected { .. }))
///         .await;
/// }
/// ```
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// `state` is where the link is now.
    pub(super) fn new(shared: Arc<Shared>, state: State) -> Self {
        shared.watch(|| state);
        Self { shared }
    }

    /// Where the stream is; [`Closed`](State::Closed) once it was dropped.
    #[must_use]
    pub fn state(&self) -> State {
        *self.watch().borrow()
    }

    /// A receiver that sees every change, as far as it keeps up.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<State> {
        self.watch().subscribe()
    }

    /// Drops the connection and dials again, now. A backoff is cut short, a running attempt goes
    /// on, a stream that gave up starts afresh.
    pub fn reconnect(&self) {
        self.shared.command(Command::Reconnect);
    }

    /// Closes the stream for good: reads answer the end of the stream, writes
    /// [`BrokenPipe`](std::io::ErrorKind::BrokenPipe). A backoff and a running attempt are cut
    /// off.
    pub fn close(&self) {
        self.shared.command(Command::Close);
    }

    fn watch(&self) -> &watch::Sender<State> {
        self.shared.watch(|| State::Closed)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
