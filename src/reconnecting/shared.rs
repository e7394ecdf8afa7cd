//! A client for many tasks.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, Result};
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Weak};

use super::lock::PollLock;
use crate::connect::Connect;
use crate::link::{Command, Handle, Role, State};
use crate::transfer::{NothingToRead, Transfer};

/// A [`Reconnecting`](crate::Reconnecting) for many tasks, whose clients are `Clone`, such as a
/// multiplexed connection of Redis or a gRPC channel. From
/// [`shared`](crate::Reconnecting::shared).
///
/// Each task gets a clone of the current client, and reports its loss with the [`Lease`] that it
/// got. Only the first report of a client counts: a task that reports it after it was replaced does
/// not end the next one.
///
/// Every task that waits for a client drives the attempt. If one of them is cancelled or stops to
/// poll, the others continue. If the tasks are on several runtimes, each waits for a timer of its own.
/// A socket is driven by the runtime of the task that began to connect it: while that stands, the
/// attempt makes no progress until its timeout.
///
/// # Panics
///
/// Backoff and timeouts need a Tokio runtime with time enabled; outside of one they panic. A panic
/// of the connector continues in the task that polled.
///
/// # Examples
///
/// ```
/// use std::io;
/// use reconnecting_stream::{Reconnecting, SharedReconnecting};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> io::Result<()> {
/// # #[derive(Clone)]
/// # struct Client;
/// # impl Client {
/// #     async fn connect() -> io::Result<Self> { Ok(Self) }
/// #     async fn get(&mut self, key: u32) -> io::Result<u32> { Ok(key) }
/// # }
/// let database = Reconnecting::builder(|| Client::connect()).lazy().shared();
/// let tasks: Vec<_> = (0..8)
///     .map(|key| {
///         let database = database.clone();
///         tokio::spawn(async move {
///             loop {
///                 let mut client = database.get().await?;
///                 match client.get(key).await {
///                     Ok(value) => return io::Result::Ok(value),
///                     Err(error) => client.mark_lost(error),
///                 }
///             }
///         })
///     })
///     .collect();
/// for task in tasks {
///     task.await??;
/// }
/// # Ok(())
/// # }
/// ```
pub struct SharedReconnecting<C: Connect> {
    transfer: Arc<PollLock<Transfer<C>>>,
    handle: Handle,
}

/// A clone of one client of a [`SharedReconnecting`], which knows the generation that it is of.
///
/// It keeps its own client and no other: once every `SharedReconnecting` is dropped, the current
/// client is dropped, and a report does nothing.
pub struct Lease<C: Connect> {
    client: C::Io,
    generation: u64,
    /// It does not keep the clients that follow.
    transfer: Weak<PollLock<Transfer<C>>>,
    handle: Handle,
}

impl<C> SharedReconnecting<C>
where
    C: Connect<Io: Clone + Unpin>,
{
    pub(super) fn new(transfer: Transfer<C>) -> Self {
        Self {
            handle: transfer.handle(),
            transfer: Arc::new(PollLock::new(transfer, |transfer| {
                let _ = Pin::new(transfer).execute_command(None, &mut NothingToRead);
            })),
        }
    }

    /// Waits for a client, and returns a clone of it.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](crate::GaveUp), [`NotConnected`](io::ErrorKind::NotConnected) after
    /// [`Handle::close`], or an error of an attempt that the policy
    /// [surfaces](crate::Verdict::Surface).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: a running attempt continues in the other tasks, or at the
    /// next call.
    pub async fn get(&self) -> Result<Lease<C>> {
        let ticket = self.transfer.ticket();
        let poll = |transfer: &mut Transfer<C>, cx: &mut std::task::Context<'_>| {
            let connected =
                Pin::new(&mut *transfer).poll_connected(Role::Connect, cx, &mut NothingToRead);
            connected.map_ok(|generation| (generation, transfer.get_ref().cloned()))
        };
        let connected = poll_fn(|cx| self.transfer.poll(&ticket, cx, poll)).await;
        let (generation, client) = connected?;
        Ok(Lease {
            client: client.ok_or(io::ErrorKind::NotConnected)?,
            generation,
            transfer: Arc::downgrade(&self.transfer),
            handle: self.handle.clone(),
        })
    }
}

impl<C: Connect> SharedReconnecting<C> {
    /// Returns the state.
    #[must_use]
    pub fn state(&self) -> State {
        self.handle.state()
    }

    /// Returns a handle that watches and commands it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl<C: Connect> Lease<C> {
    /// Returns the number of the client, from 1.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the clone of the client. Its loss can't be reported any more.
    #[must_use]
    pub fn into_inner(self) -> C::Io {
        self.client
    }

    /// Reports that this client is lost, with this cause. It is dropped, and the next one is made
    /// after the backoff. Does nothing if it was replaced already, or reported by another task.
    ///
    /// The clones that other tasks have stay until they are dropped. A panic of this clone's drop
    /// continues after the report.
    pub fn mark_lost(self, cause: io::Error)
    where
        C::Io: Unpin,
    {
        let Self {
            client,
            generation,
            transfer,
            handle,
        } = self;
        // Before the report, so that it is gone when the loss is told. Its drop is foreign code.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(client)));
        handle.command(Command::Lose(generation, cause));
        if let Some(transfer) = transfer.upgrade() {
            transfer.request();
        }
        if let Err(panic) = dropped {
            resume_unwind(panic);
        }
    }
}

impl<C: Connect> Deref for Lease<C> {
    type Target = C::Io;

    fn deref(&self) -> &C::Io {
        &self.client
    }
}

impl<C: Connect> DerefMut for Lease<C> {
    fn deref_mut(&mut self) -> &mut C::Io {
        &mut self.client
    }
}

impl<C: Connect> Clone for SharedReconnecting<C> {
    fn clone(&self) -> Self {
        Self {
            transfer: Arc::clone(&self.transfer),
            handle: self.handle.clone(),
        }
    }
}

impl<C: Connect> fmt::Debug for SharedReconnecting<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedReconnecting")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl<C: Connect> fmt::Debug for Lease<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
