//! The pump: moves bytes between the core and the connection, whichever task polls.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use super::ReconnectingFramed;
use super::connector::Connection;
use super::core::Core;
use super::send_buffer::{Kind, SendBuffer};
use crate::connect::Connect;
use crate::link::{Role, State};
use crate::policy::Phase;
use crate::transfer::{Exchange, Failure, NoProgress, Op, Readiness};

/// One run of the pump on a connection.
///
/// Both directions are polled with the waker of [`Readiness`], and only while they may be ready.
pub(super) struct Pump<'a, U> {
    pub(super) op: Op,
    pub(super) core: &'a mut Core<U>,
    pub(super) readiness: &'a Readiness,
    /// The end of the connection's stream is a loss.
    pub(super) ends_at_eof: bool,
    /// Bytes have arrived.
    pub(super) has_read: bool,
}

impl<'a, U> Pump<'a, U> {
    /// Returns a pump for which the end of the connection's stream is a loss.
    #[inline]
    pub(super) fn new(op: Op, core: &'a mut Core<U>, readiness: &'a Readiness) -> Self {
        Self {
            op,
            core,
            readiness,
            ends_at_eof: true,
            has_read: false,
        }
    }
}

impl<U> Pump<'_, U> {
    fn wants_read(&self) -> bool {
        match self.op {
            Op::Receive | Op::Read => self.core.recv.current().is_some(),
            Op::Send | Op::Write | Op::Flush => self.core.recv.may_read_ahead(),
        }
    }

    /// Returns whether the reading direction is wanted and may be ready.
    pub(super) fn may_read(&self) -> bool {
        self.wants_read() && self.readiness.read().is_ready()
    }

    /// A reader writes what the connection owes from before it began, so that a task that only
    /// waits for replies has its requests sent again.
    fn wants_write(&self) -> bool {
        let is_wanted = match self.op {
            Op::Receive | Op::Read => self.core.send.has_backlog(),
            Op::Send | Op::Write | Op::Flush => true,
        };
        is_wanted
            && self.core.generation().is_some()
            && !self.core.send.is_flushed()
            && !self.core.has_send_error()
    }

    /// Reads: once for a reader that has nothing to write, as far ahead as allowed otherwise,
    /// because a write after the peer's FIN succeeds and is lost.
    #[inline]
    pub(super) fn poll_read<Io: AsyncRead>(
        &mut self,
        mut io: Pin<&mut Io>,
    ) -> Poll<Result<(), Failure>> {
        while self.may_read() {
            let Poll::Ready(read) = self.poll_read_some(io.as_mut()) else {
                break;
            };
            if read? == 0 {
                if let Some(buffer) = self.core.recv.current_mut() {
                    buffer.on_end();
                }
                return if self.ends_at_eof || self.op == Op::Receive {
                    Poll::Ready(Err(Failure::Eof))
                } else {
                    Poll::Pending
                };
            }
            let reads_once = self.op == Op::Receive && !self.core.send.has_backlog();
            if reads_once || !self.core.recv.may_read_ahead() {
                break;
            }
        }
        if self.has_read && self.op == Op::Receive {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Polls the reading direction once.
    #[inline]
    fn poll_read_some<Io: AsyncRead>(&mut self, io: Pin<&mut Io>) -> Poll<Result<usize, Failure>> {
        let Some(buffer) = self.core.recv.current_mut() else {
            return Poll::Pending;
        };
        let direction = self.readiness.read();
        direction.clear();
        let cx = &mut self.readiness.context();
        let result = ready!(poll_read_buf(io, cx, buffer.room()));
        direction.set();
        if let Ok(1..) = result {
            buffer.on_read();
            self.has_read = true;
        }
        Poll::Ready(result.map_err(|error| Failure::Error(Phase::Read, error)))
    }

    /// Writes and flushes, if there is something to write.
    #[inline]
    pub(super) fn poll_write<Io: AsyncWrite>(
        &mut self,
        io: Pin<&mut Io>,
    ) -> Poll<Result<(), Failure>> {
        if !self.wants_write() || !self.readiness.write().is_ready() {
            return Poll::Pending;
        }
        let written = ready!(write_out(io, &mut self.core.send, self.readiness));
        Poll::Ready(written.map_err(|(phase, error)| {
            self.readiness.write().set();
            Failure::Error(phase, error)
        }))
    }

    /// Takes what the kernel still has of a connection that is lost, as far as the limits of what
    /// waits for the reader allow. A write fails with a reset while bytes that came before it can
    /// still be read (measured on Linux).
    ///
    /// An error that passes hides nothing behind it, and bytes may arrive while it looks: it tries
    /// again, a few times.
    fn drain<Io: AsyncRead>(&mut self, mut io: Pin<&mut Io>) {
        let mut tries = 3;
        while self.core.recv.may_drain() && tries > 0 {
            match self.poll_read_some(io.as_mut()) {
                Poll::Ready(Ok(0)) => break,
                Poll::Pending if !self.readiness.read().is_ready() => break,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) | Poll::Pending => tries -= 1,
            }
        }
    }
}

impl<Io: AsyncRead + AsyncWrite, U> Exchange<Connection<Io, U>> for Pump<'_, U> {
    type Output = ();

    /// Ready if anything was moved that the polling half may wait for.
    fn poll(
        &mut self,
        connection: Pin<&mut Connection<Io, U>>,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let mut io = connection.io_pin_mut();
        let read = self.poll_read(io.as_mut())?;
        let written = self.poll_write(io)?;
        match (read, written) {
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn can_progress(&self) -> bool {
        (self.op == Op::Send && self.core.acks.has_pending())
            || self.may_read()
            || (self.wants_write() && self.readiness.write().is_ready())
    }

    fn before_drop(&mut self, connection: Pin<&mut Connection<Io, U>>) {
        self.drain(connection.io_pin_mut());
    }
}

/// Writes what is queued, and flushes.
#[inline]
fn write_out<Io: AsyncWrite>(
    mut io: Pin<&mut Io>,
    send: &mut SendBuffer,
    readiness: &Readiness,
) -> Poll<Result<(), (Phase, io::Error)>> {
    let cx = &mut readiness.context();
    readiness.write().clear();
    while !send.unwritten().is_empty() {
        match ready!(io.as_mut().poll_write(cx, send.unwritten())) {
            Ok(0) => return Poll::Ready(Err((Phase::Write, ErrorKind::WriteZero.into()))),
            Ok(n) => send.advance(n),
            Err(error) => return Poll::Ready(Err((Phase::Write, error))),
        }
    }
    ready!(io.poll_flush(cx)).map_err(|error| (Phase::Flush, error))?;
    readiness.write().set();
    send.on_flushed();
    Poll::Ready(Ok(()))
}

/// What a polling half waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// Room for a message of this kind.
    Room(Kind),
    /// Everything was written and flushed.
    Flushed,
}

impl<C, U> ReconnectingFramed<C, U>
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite,
{
    /// Takes over what has happened to the link: the connection that is gone, and the new one.
    #[inline]
    pub(super) fn sync(self: Pin<&mut Self>) {
        if self.transfer.has_changed() {
            self.sync_changed();
        }
    }

    #[cold]
    fn sync_changed(self: Pin<&mut Self>) {
        let mut this = self.project();
        this.transfer.clear_changed();
        let connected = match this.transfer.state() {
            State::Connected { generation } => Some(generation),
            State::Backoff { .. } | State::Connecting { .. } | State::GaveUp | State::Closed => {
                None
            }
        };
        if let Some(ended) = this.core.generation() {
            if connected != Some(ended) {
                let lost = this.transfer.last_loss();
                let lost = lost.filter(|lost| lost.generation == ended);
                this.core.end_connection(lost);
            }
        }
        let new = this.transfer.as_mut().connection();
        if let (Some(generation), Some(new)) = (connected, new.and_then(Connection::take_new)) {
            this.core.begin_connection(generation, new);
            this.readiness.set();
        }
    }

    /// Runs the pump for one half until something has moved or changed.
    pub(super) fn poll_pump(
        mut self: Pin<&mut Self>,
        op: Op,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), NoProgress>> {
        let this = self.as_mut().project();
        this.core.apply_confirms();
        let mut transfer = this.transfer;
        let mut pump = Pump {
            ends_at_eof: !transfer.policy().passes_eof() && !transfer.is_shutting_down(),
            ..Pump::new(op, this.core, this.readiness)
        };
        let pumped = transfer.as_mut().poll_once(op, cx, &mut pump);
        let has_read = pump.has_read;
        self.as_mut().on_pumped(op, has_read);
        match ready!(pumped) {
            Err(no_progress) => Poll::Ready(self.on_no_progress(op, no_progress)),
            Ok(()) => Poll::Ready(Ok(())),
        }
    }

    /// Bytes that one half has read end the wait of the reader.
    #[inline]
    pub(super) fn on_pumped(self: Pin<&mut Self>, op: Op, has_read: bool) {
        if has_read {
            self.transfer.stop_idle_timer();
            if op == Op::Send {
                self.transfer.wake_others(Role::Write);
            }
        }
    }

    /// Keeps an error of one direction that did not end the connection for the half that it
    /// belongs to, if that is not the one that polls.
    #[cold]
    pub(super) fn on_no_progress(
        self: Pin<&mut Self>,
        op: Op,
        no_progress: NoProgress,
    ) -> Result<(), NoProgress> {
        let this = self.project();
        match (op, no_progress) {
            (Op::Receive, NoProgress::Surfaced(Phase::Write | Phase::Flush, error)) => {
                this.core.set_send_error(error);
            }
            (Op::Send, NoProgress::Surfaced(Phase::Read, error)) => {
                if let Some(buffer) = this.core.recv.current_mut() {
                    buffer.set_error(error);
                }
            }
            (_, no_progress) => return Err(no_progress),
        }
        this.transfer.wake_others(op.role());
        Ok(())
    }

    /// A failure of the fast path.
    #[cold]
    pub(super) fn on_failure(
        mut self: Pin<&mut Self>,
        op: Op,
        failure: Failure,
    ) -> Result<(), NoProgress> {
        let this = self.as_mut().project();
        let mut pump = Pump::new(op, this.core, this.readiness);
        match this.transfer.on_failure(op, failure, &mut pump) {
            Ok(()) => Err(NoProgress::Changed),
            Err(no_progress) => self.on_no_progress(op, no_progress),
        }
    }

    /// Polls until the goal of a sender is reached.
    ///
    /// It leaves the polling task registered while it waits, and deregisters it when it has
    /// reached its goal, so that incoming data does not wake a sender that waits for nothing.
    pub(super) fn poll_goal(
        mut self: Pin<&mut Self>,
        goal: Goal,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            self.as_mut().execute_command(Op::Send);
            self.as_mut().sync();
            let this = self.as_mut().project();
            this.core.apply_confirms();
            this.core.recv.retry_reading();
            if let Some(error) = this.core.take_send_error() {
                if this.core.send.has_backlog() {
                    // The reader, which stopped at this error, writes what is owed.
                    this.transfer.wake_others(Role::Write);
                }
                return Poll::Ready(Err(error));
            }
            if let Some(result) = self.as_mut().goal_result(goal) {
                self.transfer.deregister(Role::Write);
                return Poll::Ready(result);
            }
            match self.as_mut().poll_pump(Op::Send, cx) {
                Poll::Ready(Ok(()) | Err(NoProgress::Changed)) => {}
                Poll::Ready(Err(no_progress)) => {
                    return Poll::Ready(Err(no_progress.into_write_error()));
                }
                Poll::Pending => {
                    // A write makes room also if the flush after it is pending.
                    let result = match goal {
                        Goal::Room(kind) if self.core.is_refusing(kind) => Some(Err(refused())),
                        Goal::Room(_) => self.as_mut().goal_result(goal),
                        Goal::Flushed => None,
                    };
                    let Some(result) = result else {
                        return Poll::Pending;
                    };
                    self.transfer.deregister(Role::Write);
                    return Poll::Ready(result);
                }
            }
        }
    }

    /// Returns the result of a goal that is reached or can't be.
    fn goal_result(self: Pin<&mut Self>, goal: Goal) -> Option<io::Result<()>> {
        let this = self.project();
        if let Some(gave_up) = this.transfer.gave_up() {
            return Some(Err(gave_up.clone().into()));
        }
        match goal {
            // With nothing to do it succeeds, also after a close.
            Goal::Flushed => this.core.send.is_flushed().then_some(Ok(())),
            Goal::Room(kind) => match this.transfer.check_open() {
                Ok(()) => this.core.make_room(kind).then_some(Ok(())),
                Err(error) => Some(Err(error)),
            },
        }
    }
}

/// The error of a message that is refused because there is no connection.
pub(super) fn refused() -> io::Error {
    io::Error::new(
        ErrorKind::NotConnected,
        "the message was refused because there is no connection",
    )
}
