//! Rounds that panic.

use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::SessionOptions;
use crate::session::protocol::Dialer;
use crate::session::shared::End;

/// Connections that panic when the driver asks for one.
struct Panics;

impl Connections for Panics {
    fn execute_commands(&mut self, _: &mut Context<'_>, _: &Session, _: &RoundTime) {}

    fn poll_connection(
        &mut self,
        _: &mut Context<'_>,
        _: &Session,
        _: &RoundTime,
    ) -> Poll<Option<&mut Connection>> {
        panic!("of a round, as the test wants it")
    }

    fn has_connection(&self) -> bool {
        false
    }

    fn lose(&mut self, _: &Session, _: io::Error) {}

    fn timeout(&self, _: &Session) -> Option<Instant> {
        None
    }

    fn end(&mut self, _: &Session) {}
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_in_every_round_ends_its_session() {
    let options = SessionOptions::new();
    let dialer = Dialer::new(options.of_session(options.full_share()), Vec::new());
    let session = Arc::new(Session::new(End::Dialer(dialer), &[]));
    let driver = Driver::new(Arc::clone(&session), Panics);
    let ended = timeout(Duration::from_secs(60), driver).await;
    ended.expect("it ends");
    let lost = session.lock().lost().expect("the session is lost");
    assert_eq!(lost.reason, Reason::Closed);
    assert!(std::error::Error::source(&lost).is_some());
}
