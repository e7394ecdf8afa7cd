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

#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::closing::Closing;
use super::counts::Counts;
use super::defers::Defers;
use super::exchange::{Exchanged, exchange};
use super::idle::Idle;
use super::protocol::Reason;
use super::report::{self, SessionSpan};
use super::shared::Session;
use super::timer::{RoundTime, Timer, now};
use super::transport::{Connection, silent, unclosed};

/// Where the connections of a session come from.
pub(super) trait Connections: Send + Unpin {
    /// Executes what the handle has asked for, and registers the driver for the next command.
    fn execute_commands(&mut self, cx: &mut Context<'_>, session: &Session, now: &RoundTime);

    /// Returns the current connection, and gets one if there is none. `None`: there will be none.
    fn poll_connection(&mut self, session: &Session) -> Poll<Option<&mut Connection>>;

    fn has_connection(&self) -> bool;

    /// Drops the connection, because of this error.
    fn lose(&mut self, session: &Session, cause: io::Error);

    /// When the driver has to come back for its own reasons.
    fn timeout(&self) -> Option<Instant>;

    /// The session has ended: no connection will follow.
    fn end(&mut self, session: &Session);
}

/// A session ends after so many rounds in a row that have panicked: not even a wait for the next attempt
/// was between them.
const MAX_PANICS: u32 = 100;

/// The future of the driver's task.
#[derive(Debug)]
pub(super) struct Driver<C: Connections> {
    session: Arc<Session>,
    connections: C,
    timer: Timer,
    span: SessionSpan,
    counts: Counts,
    /// The epoch that was logged last.
    logged: Option<u64>,
    closing: Closing,
    idle: Idle,
    /// How many rounds in a row have panicked.
    panics: u32,
    defers: Defers,
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
            span: SessionSpan::default(),
            counts: Counts::new(&session),
            session,
            connections,
            timer: Timer::new(),
            logged: None,
            closing: Closing::default(),
            idle: Idle::default(),
            panics: 0,
            defers: Defers::here(),
        };
        // Not before the timer, which may panic.
        driver.span = SessionSpan::new(&driver.session);
        driver.counts.begin(&driver.session);
        driver
    }

    fn round(&mut self, cx: &mut Context<'_>) -> Round {
        let now = &RoundTime::default();
        self.connections.execute_commands(cx, &self.session, now);
        let is_due = self.timer.is_due() || self.closing.is_due(now);
        if is_due {
            self.handle_timeouts(now);
        }
        if (is_due || !self.connections.has_connection()) && self.has_closed(now.get()) {
            return Round::End;
        }
        let poll = self.connections.poll_connection(&self.session);
        let exchanged = match poll {
            Poll::Ready(None) => return Round::End,
            Poll::Ready(Some(connection)) => {
                if self.logged != Some(connection.epoch) {
                    self.logged = Some(connection.epoch);
                    let replayed = report::attached(&self.span, &self.session);
                    self.counts.attached(replayed);
                }
                let may_defer = self.defers.is_allowed();
                exchange(
                    connection,
                    &self.session,
                    cx,
                    now,
                    &mut self.closing,
                    may_defer,
                )
            }
            Poll::Pending => return self.wait_for_connection(cx, now),
        };
        self.counts.begin(&self.session);
        let has_deferred = matches!(exchanged, Ok(Exchanged::Delivered));
        self.defers = self.defers.after(has_deferred);
        match exchanged {
            Ok(Exchanged::Closed) => Round::End,
            Ok(Exchanged::Waits { moved, at }) => self.wait(cx, now, moved, at),
            Ok(Exchanged::More | Exchanged::Delivered) => {
                self.idle.note_activity(now);
                self.closing.update(&self.session.lock(), true, now);
                Round::Again
            }
            Err(cause) => self.lose(now.get(), cause),
        }
    }

    /// Ends the connection after a panic of foreign code. The session stays, unless there was no round
    /// without a panic for long.
    fn on_panic(&mut self) -> Round {
        report::panicked();
        self.panics += 1;
        // A waker and an observer may panic again.
        let handled = catch_unwind(AssertUnwindSafe(|| {
            if self.panics >= MAX_PANICS {
                let source = io::Error::other("the task of the session panics all the time");
                self.session.abort(Reason::Closed, Some(Arc::new(source)));
                return Round::End;
            }
            if self.connections.has_connection() {
                self.lose(now(), io::Error::other("the connection panicked"));
            } else {
                // A handshake that has panicked may have attached its connection before.
                self.session.update(|inner| inner.detach(now()));
            }
            Round::Again
        }));
        handled.unwrap_or(Round::Again)
    }

    /// Returns whether the session has ended, and its last connection needs no more time.
    fn has_closed(&self, now: Instant) -> bool {
        let inner = self.session.lock();
        let is_late = self.closing.is_close_late(now);
        inner.is_settled() && (is_late || !self.connections.has_connection())
    }

    /// Ends the connection. The session stays, unless it has ended and the peer knows.
    fn lose(&mut self, now: Instant, cause: io::Error) -> Round {
        let is_settled = self.session.update(|inner| {
            inner.detach(now);
            inner.is_settled()
        });
        if is_settled {
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
            self.idle.handle_timeout(inner, now);
            is_alive
        });
        let is_attached = self.connections.has_connection();
        self.closing
            .update(&self.session.lock(), is_attached, round);
        if self.closing.is_orphan_late(now) {
            self.session.abort(Reason::PeerReset, None);
        }
        if is_attached && !is_alive {
            self.lose(now, silent());
        } else if is_attached && self.closing.is_close_late(now) {
            self.lose(now, unclosed());
        }
    }

    /// Registers the driver while there is no connection.
    fn wait_for_connection(&mut self, cx: &mut Context<'_>, now: &RoundTime) -> Round {
        self.counts.detached();
        self.counts.begin(&self.session);
        let _dropped;
        let at = {
            let mut inner = self.session.lock();
            _dropped = inner.park_driver(cx, false);
            // What happened before woke nothing.
            if inner.incoming.is_some() || inner.is_settled() {
                return Round::Again;
            }
            self.closing.update(&inner, false, now);
            inner.core().poll_timeout()
        };
        self.wait(cx, now, false, at)
    }

    /// Registers the driver with the timer, for its own times and that of the core.
    fn wait(
        &mut self,
        cx: &mut Context<'_>,
        now: &RoundTime,
        moved: bool,
        at: Option<Instant>,
    ) -> Round {
        if moved {
            self.idle.note_activity(now);
        }
        let own = self.connections.timeout();
        let all = [own, self.closing.timeout(), self.idle.timeout()];
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
        let round = catch_unwind(AssertUnwindSafe(|| this.round(cx)));
        if round.is_ok() {
            this.panics = 0;
        }
        match round.unwrap_or_else(|_| this.on_panic()) {
            Round::Again => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Round::Wait => Poll::Pending,
            Round::End => Poll::Ready(()),
        }
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
