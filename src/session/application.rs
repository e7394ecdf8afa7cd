//! What a stream and its halves do: they touch the buffers under the lock, and wake the driver.

use std::fmt;
use std::io::{ErrorKind, IoSlice, Result};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::ReadBuf;
use tokio::task::coop::poll_proceed;

use super::counts;
use super::protocol::{Core, SessionId};
use super::shared::{Inner, Session};
use super::waiting::{Waiter, WaitsFor, Woken};
use crate::link::Handle;

/// A reference of the application to its session. When the last one is dropped, the session ends.
pub(super) struct Application {
    session: Arc<Session>,
    pub(super) handle: Handle,
}

impl Application {
    pub(super) fn new(session: Arc<Session>, handle: Handle) -> Self {
        session.lock().add_owner();
        Self { session, handle }
    }

    /// Returns the application's reference to a session that was accepted.
    pub(super) fn of(session: &Arc<Session>) -> Result<Self> {
        let handle = session.handle().ok_or(ErrorKind::NotConnected)?;
        Ok(Self::new(Arc::clone(session), handle))
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.session, &other.session)
    }

    pub(super) fn id(&self) -> SessionId {
        self.session.lock().id()
    }

    pub(super) fn metadata(&self) -> &[u8] {
        &self.session.metadata
    }

    pub(super) fn unacknowledged(&self) -> u64 {
        self.session.lock().core().unacknowledged() as u64
    }

    pub(super) async fn acknowledged(&self) -> Result<()> {
        let written = self.session.lock().core().send().written();
        let acknowledged = |inner: &mut Inner| match inner.lost() {
            Some(lost) => Some(Err(lost.into())),
            None if inner.core().send().acknowledged() >= written => Some(Ok(())),
            None => None,
        };
        self.session.wait_until(acknowledged).await
    }

    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let coop = ready!(poll_proceed(cx));
        let mut driver = None;
        let polled = self.session.poll(cx, Waiter::Reader, |inner| {
            let recv = inner.core().recv();
            if recv.unread() > 0 && buf.remaining() > 0 {
                let n = read(recv.readable(), buf);
                inner.core_mut().consume(n);
                driver = inner.take_idle_driver();
            } else if recv.is_at_end() || buf.remaining() == 0 {
                // The peer's end, or nothing was asked for.
            } else if let Some(lost) = inner.lost() {
                return Poll::Ready(Err(lost.into()));
            } else {
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        });
        wake(driver);
        if polled.is_ready() {
            coop.made_progress();
        }
        polled
    }

    /// Writes what there is room for of the buffers.
    pub(super) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let coop = ready!(poll_proceed(cx));
        let waiter = Waiter::Writer(WaitsFor::Room);
        let (mut driver, mut full) = (None, None);
        let polled = self.session.poll(cx, waiter, |inner| {
            check_writable(inner)?;
            let written = write(inner.core_mut(), bufs);
            if written == 0 && bufs.iter().any(|buf| !buf.is_empty()) {
                let waits_already = inner.waits_for(WaitsFor::Room);
                full = full.or_else(|| (!waits_already).then(|| counts::label(&inner.end)));
                return Poll::Pending;
            }
            driver = inner.take_idle_driver();
            Poll::Ready(Ok(written))
        });
        wake(driver);
        match polled {
            Poll::Ready(_) => coop.made_progress(),
            Poll::Pending => full.into_iter().for_each(counts::window_full),
        }
        polled
    }

    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let waiter = Waiter::Writer(WaitsFor::Flush);
        self.session.poll(cx, waiter, |inner| {
            if let Some(lost) = inner.lost() {
                return Poll::Ready(Err(lost.into()));
            }
            // What a connection has not taken when the session was completed is of no use to the peer.
            if inner.has_ended() || inner.core().is_flushed() {
                return Poll::Ready(Ok(()));
            }
            Poll::Pending
        })
    }

    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let waiter = Waiter::Writer(WaitsFor::Shutdown);
        // Woken also if the clone of a waker panics.
        let mut driver = Woken::default();
        self.session.poll(cx, waiter, |inner| {
            if inner.core().is_delivered() {
                return Poll::Ready(Ok(()));
            }
            if let Some(lost) = inner.lost() {
                return Poll::Ready(Err(lost.into()));
            }
            inner.core_mut().finish();
            if let Some(waker) = inner.take_idle_driver() {
                driver = Woken([Some(waker), None]);
            }
            Poll::Pending
        })
    }

    pub(super) fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("id", &self.id())
            .field("state", &self.handle.state())
            .finish_non_exhaustive()
    }
}

impl Clone for Application {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.session), self.handle.clone())
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _driver = self.session.update(|inner| {
            if !inner.remove_owner() {
                return Woken::default();
            }
            inner.on_dropped();
            inner.take_driver()
        });
    }
}

/// Moves as much as there is room for. Returns how much that is.
fn read((first, second): (&[u8], &[u8]), buf: &mut ReadBuf<'_>) -> usize {
    let in_first = first.len().min(buf.remaining());
    buf.put_slice(&first[..in_first]);
    let in_second = second.len().min(buf.remaining());
    buf.put_slice(&second[..in_second]);
    in_first + in_second
}

/// Writes as much as there is room for. Returns how much that is.
fn write(core: &mut Core, bufs: &[IoSlice<'_>]) -> usize {
    let mut written = 0;
    for buf in bufs {
        let n = core.write(buf);
        written += n;
        if n < buf.len() {
            break;
        }
    }
    written
}

fn check_writable(inner: &Inner) -> Result<()> {
    if let Some(lost) = inner.lost() {
        return Err(lost.into());
    }
    if inner.core().send().is_finished() {
        return Err(ErrorKind::BrokenPipe.into());
    }
    Ok(())
}

/// Wakes a task, without the lock.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
