//! Closing.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use super::connector::Connection;
use super::drive::Goal;
use super::pump::Pump;
use super::reconnecting_framed::ReconnectingFramed;
use crate::connect::Connect;
use crate::error::ConnectionLost;
use crate::link::Role;
use crate::seam::Seam;
use crate::transfer::{Exchange, Failure, NoProgress, Op};

/// How far a close has come.
#[derive(Debug, Default)]
pub(super) enum Closing {
    #[default]
    Open,
    /// Queued messages are being sent on the connection of this generation, or it is being shut
    /// down.
    InProgress(u64),
    /// The connection was lost while it was closed, with nothing to send again. Every further
    /// close returns the same.
    Failed(ConnectionLost),
}

/// Shuts down the connection, after a last read for its end.
struct Shutdown<'a, U>(Pump<'a, U>);

impl<Io: AsyncRead + AsyncWrite, U> Exchange<Connection<Io, U>> for Shutdown<'_, U> {
    type Output = ();

    fn poll(
        &mut self,
        connection: Pin<&mut Connection<Io, U>>,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let mut io = connection.io_pin_mut();
        if let Poll::Ready(read) = self.0.poll_read(io.as_mut()) {
            read?;
        }
        let readiness = self.0.readiness;
        readiness.write().clear();
        let shut_down = ready!(io.poll_shutdown(&mut readiness.context()));
        readiness.write().set();
        Poll::Ready(shut_down.map_err(Failure::of_shutdown))
    }

    fn can_progress(&self) -> bool {
        self.0.core.generation().is_some() && self.0.readiness.write().is_ready()
    }

    fn before_drop(&mut self, connection: Pin<&mut Connection<Io, U>>) {
        self.0.before_drop(connection);
    }
}

impl<C, U> ReconnectingFramed<C, U>
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite,
{
    /// Sends what is queued, then shuts the connection down. A connection that is lost before that is
    /// done is replaced if messages have to be sent again.
    pub(super) fn poll_closed(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            self.as_mut().execute_command(Op::Send);
            self.as_mut().sync();
            self.as_mut().project().core.apply_confirms();
            if let Some(result) = self.close_result() {
                self.transfer.deregister(Role::Write);
                return Poll::Ready(result);
            }
            if !self.core.send.is_flushed() {
                self.as_mut().note_closing();
                ready!(self.as_mut().poll_goal(Goal::Flushed, cx))?;
            } else if self.core.generation().is_none() {
                let result = self.as_mut().close_outage();
                return Poll::Ready(result);
            } else if ready!(self.as_mut().poll_connection_shutdown(cx))? {
                self.transfer.set_shut_down();
            }
        }
    }

    /// Notes which connection is being closed: a loss of it that nothing follows is an error.
    fn note_closing(self: Pin<&mut Self>) {
        let this = self.project();
        if let Some(generation) = this.core.generation() {
            *this.closing = Closing::InProgress(generation);
        }
    }

    /// Returns what closing has come to, if it is over.
    fn close_result(&self) -> Option<io::Result<()>> {
        if let Closing::Failed(lost) = &self.closing {
            return Some(Err(lost.clone().into_final_error()));
        }
        let result = self.transfer.shutdown_result()?;
        if self.transfer.is_shut_down() || self.core.send.is_flushed() {
            return Some(result);
        }
        Some(result.and(Err(io::Error::new(
            ErrorKind::BrokenPipe,
            "the stream was closed before every message was sent",
        ))))
    }

    /// Ends an outage in which there is nothing to send.
    fn close_outage(mut self: Pin<&mut Self>) -> io::Result<()> {
        let this = self.as_mut().project();
        let lost = this.transfer.last_loss();
        this.transfer.begin_shutdown(Some(Role::Write));
        self.as_mut().sync();
        self.transfer.deregister(Role::Write);
        let this = self.project();
        let Some(lost) = lost else {
            return Ok(());
        };
        // A hidden seam can't stay hidden, because nothing replaces the connection.
        if this.transfer.seam() == Seam::Hidden {
            this.core.recv.set_final_loss(lost.clone());
        }
        match *this.closing {
            Closing::InProgress(generation) if generation == lost.generation => {
                *this.closing = Closing::Failed(lost.clone());
                Err(lost.into_final_error())
            }
            Closing::InProgress(_) | Closing::Open | Closing::Failed(_) => Ok(()),
        }
    }

    /// Shuts the connection down. False if it was lost, or there is something else to do first.
    fn poll_connection_shutdown(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        self.as_mut().note_closing();
        let this = self.as_mut().project();
        let ends_at_eof = !this.transfer.policy().passes_eof();
        let mut shutdown = Shutdown(Pump {
            ends_at_eof,
            ..Pump::new(Op::Send, this.core, this.readiness)
        });
        let shut_down = this.transfer.poll_current(Op::Send, cx, &mut shutdown);
        let has_read = shutdown.0.has_read;
        self.as_mut().on_pumped(Op::Send, has_read);
        let Err(no_progress) = ready!(shut_down) else {
            return Poll::Ready(Ok(true));
        };
        Poll::Ready(match self.on_no_progress(Op::Send, no_progress) {
            Ok(()) | Err(NoProgress::Changed | NoProgress::End) => Ok(false),
            Err(no_progress) => Err(no_progress.into_write_error()),
        })
    }
}
