//! The driver: one task for each session, which owns the connection and the timers.
//!
//! It moves bytes between the connection and the [`Core`](super::protocol::Core), and never waits
//! for the application. These wake it:
//!
//! | it waits for | woken by |
//! |---|---|
//! | bytes from the connection, room in it | the connection |
//! | something to write | the application's write, shutdown, drop, or read that opens the window |
//! | a connection | the link's timer or attempt, or a RESUME that was accepted |
//! | the next timeout of the core | the timer |
//! | a command | the handle |

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tracing::Span;

use super::closing::Closing;
use super::counts::Counts;
use super::exchange::{Exchanged, exchange};
use super::protocol::Reason;
use super::report;
use super::shared::Session;
use super::timer::{RoundTime, Timer, now};
use super::transport::Connection;

/// Where the connections of a session come from.
pub(super) trait Connections: Send + Unpin {
    /// Executes what the handle has asked for, and registers the driver for the next command.
    fn execute_commands(&mut self, cx: &mut Context<'_>, session: &Session, now: &RoundTime);

    /// Returns the current connection, and gets one if there is none. `None`: there will be none.
    fn poll_connection(
        &mut self,
        cx: &mut Context<'_>,
        session: &Session,
        now: &RoundTime,
    ) -> Poll<Option<&mut Connection>>;

    fn has_connection(&self) -> bool;

    /// Drops the connection, because of this error.
    fn lose(&mut self, session: &Session, cause: io::Error);

    /// When the driver has to come back for its own reasons.
    fn timeout(&self, session: &Session) -> Option<Instant>;

    /// The session has ended: no connection will follow.
    fn end(&mut self, session: &Session);
}

/// Memory of buffers that are empty is released after no byte has moved for so long, or for up to
/// twice as long.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// The future of the driver's task.
#[derive(Debug)]
pub(super) struct Driver<C: Connections> {
    session: Arc<Session>,
    connections: C,
    timer: Timer,
    span: Span,
    counts: Counts,
    /// The epoch that was logged last.
    logged: Option<u64>,
    closing: Closing,
    /// When the memory of empty buffers is released, unless bytes have moved by then.
    idle_at: Option<Instant>,
    has_moved: bool,
}

/// How a round of the driver ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// There may be more to do.
    Again,
    /// Everything that has to wake the driver is registered.
    Wait,
    /// The session has ended, and so has its connection.
    End,
}

impl<C: Connections> Driver<C> {
    pub(super) fn new(session: Arc<Session>, connections: C) -> Self {
        let mut driver = Self {
            span: Span::none(),
            counts: Counts::new(&session),
            session,
            connections,
            timer: Timer::default(),
            logged: None,
            closing: Closing::default(),
            idle_at: None,
            has_moved: false,
        };
        // A subscriber and a recorder are foreign code. If one panics, the driver is dropped, which
        // ends the session.
        driver.span = report::span(&driver.session);
        driver.counts.begin(&driver.session);
        driver
    }

    fn round(&mut self, cx: &mut Context<'_>) -> Round {
        let now = &RoundTime::default();
        self.connections.execute_commands(cx, &self.session, now);
        let is_due = self.timer.is_due();
        if is_due {
            self.handle_timeouts(now);
        }
        if (is_due || !self.connections.has_connection()) && self.has_closed(now.get()) {
            return Round::End;
        }
        let poll = self.connections.poll_connection(cx, &self.session, now);
        let exchanged = match poll {
            Poll::Ready(None) => return Round::End,
            Poll::Ready(Some(connection)) => {
                if self.logged != Some(connection.epoch) {
                    self.logged = Some(connection.epoch);
                    let replayed = report::attached(&self.span, &self.session);
                    self.counts.attached(replayed);
                }
                exchange(connection, &self.session, cx, now)
            }
            Poll::Pending => {
                self.counts.detached();
                let _dropped = self.session.lock().park_driver(cx, false);
                Ok(Exchanged::Waits { moved: false })
            }
        };
        self.counts.begin(&self.session);
        match exchanged {
            Ok(Exchanged::Closed) => Round::End,
            Ok(Exchanged::Waits { moved }) => self.wait(cx, now, moved),
            Ok(Exchanged::More) => {
                self.note_activity(now);
                Round::Again
            }
            Err(cause) => self.lose(now.get(), cause),
        }
    }

    /// Ends the connection after a panic of foreign code. The session stays.
    fn on_panic(&mut self) {
        report::panicked();
        if self.connections.has_connection() {
            let cause = io::Error::other("the connection panicked");
            // The observer may panic again.
            let _ = catch_unwind(AssertUnwindSafe(|| self.lose(now(), cause)));
        }
    }

    /// Returns whether the session has ended, and its last connection needs no more time.
    fn has_closed(&self, now: Instant) -> bool {
        let inner = self.session.lock();
        let is_late = self.closing.is_close_late(now);
        inner.has_ended()
            && inner.incoming.is_none()
            && (is_late || !self.connections.has_connection())
    }

    /// Records that bytes have moved. It reads the clock only for the first ones.
    fn note_activity(&mut self, now: &RoundTime) {
        self.has_moved = true;
        let idle_at = || now.get().checked_add(IDLE_AFTER);
        self.idle_at = self.idle_at.or_else(idle_at);
    }

    /// Ends the connection. The session stays, unless it has ended.
    fn lose(&mut self, now: Instant, cause: io::Error) -> Round {
        let has_ended = self.session.update(|inner| {
            // A connection that has resumed the session already is another one.
            if inner.incoming.is_none() {
                inner.core_mut().detach(now);
            }
            inner.has_ended() && inner.incoming.is_none()
        });
        if has_ended {
            return Round::End;
        }
        report::lost(&cause);
        self.connections.lose(&self.session, cause);
        Round::Again
    }

    fn handle_timeouts(&mut self, round: &RoundTime) {
        let now = round.get();
        let is_alive = self.session.update(|inner| {
            let is_alive = inner.core_mut().handle_timeout(now);
            if self.idle_at.is_some_and(|at| at <= now) {
                self.idle_at = None;
                if std::mem::take(&mut self.has_moved) {
                    self.idle_at = now.checked_add(IDLE_AFTER);
                } else {
                    inner.core_mut().release_memory();
                }
            }
            is_alive
        });
        if self.closing.is_linger_late(now) {
            self.session.abort(Reason::PeerReset, None);
        }
        self.closing.begin(&self.session.lock(), round);
        if self.connections.has_connection() && !is_alive {
            self.lose(now, silent());
        }
    }

    /// Registers the driver with the timer.
    fn wait(&mut self, cx: &mut Context<'_>, now: &RoundTime, moved: bool) -> Round {
        if moved {
            self.note_activity(now);
        }
        let at = {
            let inner = self.session.lock();
            // What happened before the driver was registered woke nothing.
            let is_over = inner.has_ended() && !self.connections.has_connection();
            if inner.incoming.is_some() || is_over {
                return Round::Again;
            }
            self.closing.begin(&inner, now);
            inner.core().poll_timeout()
        };
        let own = self.connections.timeout(&self.session);
        let all = [own, self.closing.timeout(), self.idle_at];
        let at = all.into_iter().flatten().fold(at, earlier);
        match self.timer.poll(cx, at) {
            Poll::Ready(()) => Round::Again,
            Poll::Pending => Round::Wait,
        }
    }
}

impl<C: Connections> Future for Driver<C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let span = this.span.clone();
        let _entered = span.enter();
        // One round, so that a session can't keep a thread from the others. The application runs
        // between two rounds, while the bytes are in the caches: 3 % more throughput than with four
        // (measured). A connection, a connector and a waker are foreign code.
        match catch_unwind(AssertUnwindSafe(|| this.round(cx))) {
            Ok(Round::Again) => {}
            Ok(Round::Wait) => return Poll::Pending,
            Ok(Round::End) => return Poll::Ready(()),
            Err(_) => this.on_panic(),
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Ends the session also if the runtime drops the driver: the application must not wait for it.
impl<C: Connections> Drop for Driver<C> {
    fn drop(&mut self) {
        // Wakers, a connection and an observer are foreign code, and a panic while another one unwinds
        // would end the process.
        let mut incoming = None;
        let _ = catch_unwind(AssertUnwindSafe(|| {
            self.session.update(|inner| {
                inner.abort(Reason::Closed, None);
                inner.is_over = true;
                // Releases what was kept to be sent: the application may keep the stream for long.
                inner.core_mut().detach(now());
                incoming = inner.incoming.take();
            });
        }));
        let _ = catch_unwind(AssertUnwindSafe(|| self.connections.end(&self.session)));
        let _ = catch_unwind(AssertUnwindSafe(|| drop(incoming)));
        // Nor may a subscriber or a recorder.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let outcome = report::ended(&self.span, &self.session);
            self.counts.begin(&self.session);
            self.counts.ended(outcome);
        }));
    }
}

fn earlier(first: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(first.map_or(other, |first| first.min(other)))
}

/// The cause of the loss of a connection whose peer is silent.
fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the peer is silent")
}
