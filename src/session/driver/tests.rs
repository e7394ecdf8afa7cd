//! Rounds that panic, and what happens while a round looks for a connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::time::Duration;

use tokio::io::duplex;
use tokio::time::timeout;

use super::*;
use crate::SessionOptions;
use crate::session::protocol::Dialer;
use crate::session::shared::End;

/// No connections. This is called when the driver asks for one.
struct Hook(fn(&Session));

impl Connections for Hook {
    fn execute_commands(&mut self, _: &mut Context<'_>, _: &Session, _: &RoundTime) {}

    fn poll_connection(&mut self, session: &Session) -> Poll<Option<&mut Connection>> {
        (self.0)(session);
        Poll::Pending
    }

    fn has_connection(&self) -> bool {
        false
    }

    fn lose(&mut self, _: &Session, _: io::Error) {}

    fn timeout(&self) -> Option<Instant> {
        None
    }

    fn end(&mut self, _: &Session) {}
}

fn session() -> Arc<Session> {
    let options = SessionOptions::new();
    let dialer = Dialer::new(options.of_session(options.full_share()), Vec::new());
    Arc::new(Session::new(End::Dialer(dialer), &[]))
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_in_every_round_ends_its_session() {
    let session = session();
    let panics = Hook(|_| panic!("of a round, as the test wants it"));
    let driver = Driver::new(Arc::clone(&session), panics);
    let ended = timeout(Duration::from_secs(60), driver).await;
    ended.expect("it ends");
    let lost = session.lock().lost().expect("the session is lost");
    assert_eq!(lost.reason, Reason::Closed);
    assert!(std::error::Error::source(&lost).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_happens_before_a_driver_without_a_connection_is_registered_wakes_it() {
    let ends: fn(&Session) = |session| session.abort(Reason::Closed, None);
    let resumes: fn(&Session) = |session| {
        let connection = Connection::new(Box::pin(duplex(1).0), 1, Vec::new());
        session.update(|inner| session.put_incoming(inner, connection));
    };
    for hook in [ends, resumes] {
        let woken = Arc::new(Woken::default());
        let waker = Arc::clone(&woken).into();
        let mut driver = Driver::new(session(), Hook(hook));
        let polled = Pin::new(&mut driver).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        assert!(woken.0.load(Ordering::SeqCst));
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}
