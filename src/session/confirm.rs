//! The client's confirmation, which a new session needs before its application is told (R13).

use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::application::Application;
use super::sessions::Accepted;
use super::shared::{Inner, Session};
use super::stream::ResumableStream;
use super::table::Table;

/// Waits until the client has confirmed its session. The first call that sees it returns the stream.
pub(super) async fn confirmed(table: &Table, session: &Arc<Session>) -> io::Result<Accepted> {
    let _waiting = Waiting::new(session);
    match session.wait_until(Inner::confirm).await {
        Confirmed::New => {
            table.on_accepted(session);
            let application = Application::of(session)?;
            Ok(Accepted::New(ResumableStream { application }))
        }
        Confirmed::Before => Ok(Accepted::Resumed),
        Confirmed::Lost => Err(ErrorKind::ConnectionAborted.into()),
    }
}

/// A call of `accept` that waits for the client. If it is dropped, its connection is dropped, too:
/// the client resumes the session, and the call that accepts that connection returns it. The
/// connection of a session that has ended stays, because it has to tell the client.
struct Waiting<'a> {
    session: &'a Session,
    epoch: Option<u64>,
}

impl<'a> Waiting<'a> {
    fn new(session: &'a Session) -> Self {
        let epoch = session.lock().core().epoch();
        Self { session, epoch }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let is_unseen = {
            let inner = self.session.lock();
            let epoch = inner.core().epoch();
            let is_waiting = !inner.was_accepted && !inner.has_ended();
            is_waiting && epoch.is_some() && epoch == self.epoch
        };
        if let Some(handle) = self.session.handle().filter(|_| is_unseen) {
            handle.reconnect();
        }
    }
}

enum Confirmed {
    New,
    /// Another call has returned it.
    Before,
    /// The connection is lost, or the session is.
    Lost,
}

impl Inner {
    /// Returns `None` if the client has not confirmed the session yet.
    fn confirm(&mut self) -> Option<Confirmed> {
        if self.was_accepted {
            Some(Confirmed::Before)
        } else if self.core().is_confirmed() && !self.is_over {
            self.was_accepted = true;
            Some(Confirmed::New)
        } else if self.has_ended() || self.core().epoch().is_none() {
            Some(Confirmed::Lost)
        } else {
            None
        }
    }
}
