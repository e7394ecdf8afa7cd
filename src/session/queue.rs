//! The streams of a listener that wait for `accept`.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::{Notify, mpsc};
use tokio::task::coop::{consume_budget, unconstrained};

use super::stream::ResumableStream;

/// The receiving end of the channel in which a listener's task sends its streams.
///
/// A channel has one waker. This one wakes every call of `accept` that waits, and the first that is
/// polled takes the stream: one that is not polled keeps no other one waiting.
#[derive(Debug)]
pub(super) struct Queue {
    streams: Mutex<mpsc::UnboundedReceiver<ResumableStream>>,
    changed: Arc<Changed>,
}

#[derive(Debug, Default)]
struct Changed(Notify);

impl Wake for Changed {
    fn wake(self: Arc<Self>) {
        self.0.notify_waiters();
    }
}

impl Queue {
    pub(super) fn new(streams: mpsc::UnboundedReceiver<ResumableStream>) -> Self {
        Self {
            streams: Mutex::new(streams),
            changed: Arc::default(),
        }
    }

    /// Waits for a stream, and until `shut_down` completes. What waits then is returned before the error.
    pub(super) async fn next(
        &self,
        shut_down: impl Future<Output = ()>,
    ) -> io::Result<ResumableStream> {
        // The looks below have no budget, so that a stream is not overlooked.
        consume_budget().await;
        let mut shut_down = pin!(shut_down);
        let mut changed = pin!(self.changed.0.notified());
        poll_fn(|cx| {
            // Registered before the look.
            while changed.as_mut().poll(cx).is_ready() {
                changed.set(self.changed.0.notified());
            }
            let is_shut_down = shut_down.as_mut().poll(cx);
            match self.poll_receive() {
                Poll::Ready(Some(stream)) => Poll::Ready(Ok(stream)),
                Poll::Ready(None) => Poll::Ready(Err(not_connected("the listener's task is gone"))),
                Poll::Pending => {
                    is_shut_down.map(|()| Err(not_connected("the sessions were shut down")))
                }
            }
        })
        .await
    }

    /// Takes a stream, or registers all calls for the next one. `None`: there will be none.
    fn poll_receive(&self) -> Poll<Option<ResumableStream>> {
        let waker = Waker::from(Arc::clone(&self.changed));
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let mut receive = unconstrained(poll_fn(|cx| streams.poll_recv(cx)));
        Pin::new(&mut receive).poll(&mut Context::from_waker(&waker))
    }
}

fn not_connected(reason: &'static str) -> io::Error {
    io::Error::new(ErrorKind::NotConnected, reason)
}
