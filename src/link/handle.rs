//! A handle to a link: its state and commands to it, from other tasks.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use super::commands::Command;
use super::events::Events;
use super::shared::Shared;
use super::state::State;

/// Watches and commands a stream from other tasks.
///
/// A stream makes progress only when it is polled. A command wakes the tasks that wait for the
/// stream, and takes effect when one of them polls. A session has a task of its own, which executes
/// them immediately. Once the stream is dropped, commands do nothing.
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
    /// `state` is the current state of the link.
    pub(crate) fn new(shared: Arc<Shared>, state: State) -> Self {
        shared.watch(|| state);
        Self { shared }
    }

    /// Returns the state of the stream; [`Closed`](State::Closed) once it was dropped.
    #[must_use]
    pub fn state(&self) -> State {
        *self.watch().borrow()
    }

    /// Returns a receiver of the state. A receiver that is polled rarely sees only the latest one.
    ///
    /// Do not keep the reference that its `borrow` returns while the same thread polls or commands the
    /// stream: it is a read lock of the state. Copy the state out of it.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<State> {
        self.watch().subscribe()
    }

    /// Returns the events from now on. It is for tasks that need every event;
    /// [`subscribe`](Self::subscribe) has the latest state alone, and
    /// [`on_event`](crate::Builder::on_event) also the events before there is a handle.
    ///
    /// A stream keeps events for its subscribers only.
    #[must_use]
    pub fn subscribe_events(&self) -> Events {
        self.shared.subscribe_events()
    }

    /// Drops the connection and dials again without a delay. A backoff ends now, an attempt that
    /// is due or running continues, and a stream that gave up starts again. After a shutdown or a
    /// close it does nothing.
    ///
    /// For a connection that turned out to be bad use [`mark_lost`](Self::mark_lost), which keeps
    /// to the backoff.
    pub fn reconnect(&self) {
        self.shared.command(Command::Reconnect);
    }

    /// Declares the current connection dead, with this cause: a loss like any other, under the
    /// backoff. Does nothing if there is no connection.
    ///
    /// For what only the application can see: a protocol error, a missed heartbeat. The
    /// connection is the one that [`state`](Self::state) returns at the time of the call; one that
    /// replaces it before the stream is polled is not affected. Of several calls for one
    /// connection the first one counts.
    pub fn mark_lost(&self, cause: io::Error) {
        if let State::Connected { generation } = self.state() {
            self.shared.command(Command::Lose(generation, cause));
        }
    }

    /// Closes the stream: reads return the end of the stream, writes
    /// [`BrokenPipe`](std::io::ErrorKind::BrokenPipe). A backoff or a running attempt is
    /// canceled. Both ends of a session get its `SessionLost`.
    pub fn close(&self) {
        self.shared.command(Command::Close);
    }

    pub(crate) fn command(&self, command: Command) {
        self.shared.command(command);
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

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;
    use crate::ReconnectingStream;

    #[tokio::test(start_paused = true)]
    async fn a_mark_of_an_earlier_connection_does_not_end_the_one_that_replaced_it() {
        let connector = || async { Ok(duplex(64).0) };
        let mut stream = ReconnectingStream::connect(connector).await.unwrap();
        let handle = stream.handle();
        stream.reconnect();
        assert_eq!(stream.connected().await.unwrap(), 2);
        // As if the stream had reconnected between the two steps of `mark_lost`.
        for (marked, generation) in [(1, 2), (2, 3)] {
            let cause = io::ErrorKind::TimedOut.into();
            handle.shared.command(Command::Lose(marked, cause));
            assert_eq!(stream.connected().await.unwrap(), generation);
        }
    }
}
