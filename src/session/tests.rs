//! Moments between two steps of two threads, which tests with threads seldom meet.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::accept::accept;
use super::accepted::AcceptedConnections;
use super::confirm::confirmed;
#[cfg(feature = "metrics")]
use super::counts::Counts;
use super::driver::{Connections, Driver};
use super::options::SessionOptions;
use super::protocol::{
    Acceptor, Answered, Core, Dialer, Handshake, Hello, Outcome, Reason, Resume, Secret, SessionId,
};
use super::room::Full;
use super::shared::{End, Session};
use super::table::Table;
use super::timer::now;
use super::transport::Connection;
use crate::link::{Event, SharedGuard};

/// A server's session that its client has confirmed and that no driver moves, and its client.
struct Pair {
    table: Arc<Table>,
    session: Arc<Session>,
    dialer: Dialer,
}

impl Pair {
    fn new() -> Self {
        let options = SessionOptions::new().max_sessions(1);
        let table = Arc::new(Table::new(options));
        let mut dialer = Dialer::new(options.of_session(options.full_share()), Vec::new());
        let dial = dialer.dial(now(), [1; 16]);
        let Handshake::Hello(hello) = message(&dial.message) else {
            panic!("a HELLO");
        };
        let session = begin(&table, 1, &hello).expect("there is room");
        let welcome = transmit(session.lock().core_mut());
        let answered = dialer.handle_answer(now(), &dial, &message(&welcome));
        assert_eq!(answered, Ok(Answered::Attached(1)));
        let mut pair = Self {
            table,
            session,
            dialer,
        };
        pair.send_to_server();
        assert!(pair.session.lock().core().is_confirmed());
        pair
    }

    /// Passes what the client has to send to its first connection.
    fn send_to_server(&mut self) {
        let bytes = transmit(&mut self.dialer.core);
        self.session.update(|inner| {
            let handled = inner.core_mut().handle_input(now(), 0, &bytes);
            handled.expect("a client that keeps to the protocol");
        });
    }

    fn send_to_client(&mut self) {
        let bytes = transmit(self.session.lock().core_mut());
        let handled = self.dialer.core.handle_input(now(), 1, &bytes);
        handled.expect("a server that keeps to the protocol");
    }

    fn dial(&mut self) -> (Vec<u8>, Resume) {
        let dial = self.dialer.dial(now(), [2; 16]);
        match message(&dial.message) {
            Handshake::Resume(resume) => (dial.message, resume),
            other => panic!("not a RESUME: {other:?}"),
        }
    }

    /// The client resumes the session on another connection, which no driver has taken yet.
    fn resume(&mut self) {
        let (_, resume) = self.dial();
        self.session.update(|inner| {
            let End::Acceptor(acceptor) = &mut inner.end else {
                panic!("not a server's end");
            };
            let epoch = acceptor.handle_resume(now(), &resume).unwrap();
            let replaced = self.session.put_incoming(inner, connection(epoch));
            assert!(replaced.is_none());
        });
    }
}

fn message(bytes: &[u8]) -> Handshake {
    Handshake::decode(bytes).unwrap().expect("a message").0
}

/// Takes all that is to be sent.
fn transmit(core: &mut Core) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(transmit) = core.poll_transmit() {
        let batch = transmit.slices.concat();
        core.advance(batch.len());
        bytes.extend(batch);
    }
    bytes
}

fn begin(table: &Table, number: u8, hello: &Hello) -> Result<Arc<Session>, Full> {
    let credentials = (SessionId([number; 16]), Secret([number; 32]));
    table.insert(credentials.0, None, |share| {
        let options = table.options.of_session(share);
        let acceptor = Acceptor::new(now(), options, hello, credentials);
        Arc::new(Session::new(End::Acceptor(acceptor), &[]))
    })
}

fn connection(epoch: u64) -> Connection {
    Connection::new(Box::pin(duplex(1).0), epoch, Vec::new())
}

fn accepted(pair: &Pair) -> AcceptedConnections {
    let shared = SharedGuard::default();
    AcceptedConnections::new(Arc::clone(&pair.table), connection(0), shared)
}

fn outcome(session: &Session) -> Option<Outcome> {
    session.lock().core().outcome()
}

#[test]
fn a_session_that_was_just_accepted_is_not_evicted_for_a_new_one() {
    let hello = Hello {
        limit: 1,
        metadata: Vec::new(),
    };
    for was_accepted in [true, false] {
        let pair = Pair::new();
        // The table is told a moment later.
        pair.session.update(|inner| {
            inner.was_accepted = was_accepted;
            inner.detach(now());
        });
        let second = begin(&pair.table, 2, &hello);
        assert_eq!(second.is_ok(), !was_accepted);
        let evicted = (!was_accepted).then_some(Outcome::Lost(Reason::Evicted));
        assert_eq!(outcome(&pair.session), evicted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_driver_is_gone_is_not_accepted() {
    let pair = Pair::new();
    pair.session.update(|inner| {
        inner.abort(Reason::Closed, None);
        inner.is_over = true;
    });
    let error = confirmed(&pair.table, &pair.session).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    assert!(!pair.session.lock().was_accepted);
}

#[tokio::test(start_paused = true)]
async fn a_client_is_told_by_accept_that_a_session_without_a_driver_is_complete() {
    let mut pair = Pair::new();
    pair.session.lock().core_mut().finish();
    pair.send_to_client();
    pair.dialer.core.finish();
    pair.send_to_server();
    assert_eq!(outcome(&pair.session), Some(Outcome::Complete));
    // Its driver has ended, and is not in the table's tombstones yet.
    pair.session.lock().is_over = true;
    let (message_of_resume, _) = pair.dial();
    let (mut client, server) = duplex(4096);
    client.write_all(&message_of_resume).await.unwrap();
    let accepted = accept(&pair.table, Box::pin(server), None).await;
    accepted.expect("the client may know that it is complete");
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    let Handshake::Resumed(resumed) = message(&answer) else {
        panic!("not a RESUMED");
    };
    assert!(resumed.is_complete);
}

#[test]
fn the_loss_of_a_connection_that_was_replaced_leaves_the_new_one_attached() {
    let mut pair = Pair::new();
    pair.resume();
    pair.session.update(|inner| inner.detach(now()));
    assert_eq!(pair.session.lock().core().epoch(), Some(2));
}

#[test]
fn the_last_connection_of_an_ended_session_gives_way_to_one_that_has_resumed_it() {
    let mut pair = Pair::new();
    pair.resume();
    let is_current = |pair: &Pair, epoch| pair.session.lock().is_current(epoch);
    assert!(!is_current(&pair, 0) && is_current(&pair, 2));
    pair.session.lock().core_mut().lose(Reason::Expired);
    pair.session.lock().core_mut().detach(now());
    assert!(!is_current(&pair, 0), "another one is there");
    assert!(!pair.session.lock().is_settled(), "it has to tell the peer");
    assert!(pair.session.take_incoming().is_some());
    assert!(is_current(&pair, 0), "it is the last one");
    assert!(pair.session.lock().is_settled());
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_connection_that_was_replaced_is_not_the_cause_of_its_loss() {
    for is_replaced in [true, false] {
        let mut pair = Pair::new();
        let mut connections = accepted(&pair);
        let mut events = connections.handle().subscribe_events();
        if is_replaced {
            pair.resume();
        }
        connections.lose(&pair.session, io::ErrorKind::ConnectionReset.into());
        let Some(Ok(Event::Lost { cause, .. })) = events.recv().await else {
            panic!("no loss");
        };
        let is_abort = cause.kind() == io::ErrorKind::ConnectionAborted;
        assert_eq!(is_abort, is_replaced);
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_dropped_releases_what_was_to_be_sent() {
    let pair = Pair::new();
    let unsent = || pair.session.lock().core().send().unacknowledged();
    pair.session.lock().core_mut().write(&[1; 1000]);
    assert_eq!(unsent(), 1000);
    let connections = accepted(&pair);
    drop(Driver::new(Arc::clone(&pair.session), connections));
    assert_eq!(unsent(), 0);
    assert!(pair.session.lock().is_over);
    // The application gets an error that counts them.
    let lost = pair.session.lock().lost().expect("it is lost");
    assert_eq!((lost.reason, lost.unacknowledged), (Reason::Closed, 1000));
}

/// A connection that panics right behind its first frame detaches a session that is not counted yet.
#[cfg(feature = "metrics")]
#[test]
fn a_session_that_is_counted_without_a_connection_is_detached() {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    for is_attached in [true, false] {
        let pair = Pair::new();
        if !is_attached {
            pair.session.update(|inner| inner.detach(now()));
        }
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || {
            Counts::new(&pair.session).begin(&pair.session);
        });
        let gauges = snapshotter.snapshot().into_vec().into_iter();
        let mut ones: Vec<_> = gauges
            .filter(|(.., value)| *value == DebugValue::Gauge(1.0.into()))
            .map(|(key, ..)| key.key().name().to_owned())
            .collect();
        ones.sort_unstable();
        let all = [
            "reconnecting_stream_sessions",
            "reconnecting_stream_sessions_detached",
        ];
        assert_eq!(ones, all[..2 - usize::from(is_attached)]);
    }
}
