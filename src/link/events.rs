//! Events for other tasks.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};

use super::event::Event;
use super::shared::{NO_EVENTS, Shared, lock};
use crate::sync::Mutex;

/// How many events a subscriber can be behind.
const CAPACITY: usize = 64;

/// The subscribers of one stream. The events of all of them end with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct Subscribers {
    sender: Sender<Event>,
    /// Clones of the events in the channel, which drops its own under its locks: the error of a lost
    /// connection is foreign code, so the last clone is dropped without a lock.
    kept: Arc<Mutex<VecDeque<Event>>>,
}

impl Default for Subscribers {
    fn default() -> Self {
        Self {
            sender: Sender::new(CAPACITY),
            kept: Arc::default(),
        }
    }
}

impl Subscribers {
    pub(crate) fn publish(&self, events: &[Event]) {
        if self.sender.receiver_count() == 0 {
            let _dropped = std::mem::take(&mut *lock(&self.kept));
            return;
        }
        for event in events {
            lock(&self.kept).push_back(event.clone());
            // An error says that the subscribers are gone meanwhile.
            let _ = self.sender.send(event.clone());
            let _dropped = self.pop_replaced();
        }
    }

    /// Takes the event that the last one has replaced in the channel.
    fn pop_replaced(&self) -> Option<Event> {
        let mut kept = lock(&self.kept);
        (kept.len() > CAPACITY).then(|| kept.pop_front())?
    }

    pub(crate) fn subscribe(&self) -> Events {
        Events {
            receiving: Box::pin(receive(self.sender.subscribe())),
        }
    }
}

impl Shared {
    /// Returns the events from now on; none once the link was dropped.
    pub(crate) fn subscribe_events(&self) -> Events {
        let mut rare = lock(&self.rare);
        if self.flags.any(NO_EVENTS) {
            return Events::ended();
        }
        let subscribers = &mut rare.get_or_insert_default().subscribers;
        let subscribers = subscribers.get_or_insert_default().clone();
        // Outside of the lock: the channel has a lock of its own.
        drop(rare);
        subscribers.subscribe()
    }

    /// Ends the events of all subscribers, and of those to come.
    pub(super) fn end_events(&self) {
        self.flags.set(NO_EVENTS);
        let mut rare = lock(&self.rare);
        let ended = rare.as_mut().and_then(|rare| rare.subscribers.take());
        drop(rare);
        // Outside of the lock: it wakes tasks.
        drop(ended);
    }
}

/// The events of a stream, from [`Handle::subscribe_events`](crate::Handle::subscribe_events).
///
/// It gets every event from the subscription on, and ends when the stream is dropped, or a session
/// has ended. Up to 64
/// events wait for it. If there are more, the oldest are dropped, and their number is the next
/// item. The last event is never dropped.
#[cfg_attr(feature = "codec", doc = "\n\nIt is a `Stream` as well.")]
///
/// # Examples
///
/// ```
/// use reconnecting_stream::{Event, Handle};
///
/// async fn log_outages(handle: &Handle) {
///     let mut events = handle.subscribe_events();
///     while let Some(event) = events.recv().await {
///         match event {
///             Ok(Event::Lost { generation, cause, .. }) => println!("{generation} lost: {cause}"),
///             Ok(Event::Connected { generation, .. }) => println!("{generation} is there"),
///             Ok(_) => {}
///             Err(missed) => println!("{missed}"),
///         }
///     }
/// }
/// ```
pub struct Events {
    receiving: Pin<Box<dyn Future<Output = Received> + Send + Sync>>,
}

type Received = (Result<Event, RecvError>, Receiver<Event>);

async fn receive(mut receiver: Receiver<Event>) -> Received {
    (receiver.recv().await, receiver)
}

impl Events {
    /// Returns no events.
    pub(crate) fn ended() -> Self {
        Subscribers::default().subscribe()
    }

    /// Returns the next event, or how many were dropped before it; `None` once the stream was
    /// dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event.
    pub async fn recv(&mut self) -> Option<Result<Event, MissedEvents>> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event, MissedEvents>>> {
        self.receiving
            .as_mut()
            .poll(cx)
            .map(|(received, receiver)| {
                self.receiving = Box::pin(receive(receiver));
                match received {
                    Ok(event) => Some(Ok(event)),
                    Err(RecvError::Lagged(count)) => Some(Err(MissedEvents { count })),
                    Err(RecvError::Closed) => None,
                }
            })
    }
}

#[cfg(feature = "codec")]
impl futures_core::Stream for Events {
    type Item = Result<Event, MissedEvents>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_recv(cx)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

/// Events were dropped, because their subscriber did not receive them in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissedEvents {
    /// The number of events.
    pub count: u64,
}

impl fmt::Display for MissedEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count } = self;
        write!(f, "the subscriber was too slow for {count} events")
    }
}

impl Error for MissedEvents {}
