//! The handshake of a server.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::accepted::AcceptedConnections;
use super::confirm::confirmed;
use super::counts;
use super::driver::Driver;
use super::protocol::{
    Acceptor, Handshake, Hello, ProtocolError, Reason, Refusal, Reject, Resume, Resumed, Secret,
    SessionId, reject_unknown,
};
use super::room::Full;
use super::sessions::Accepted;
use super::shared::{End, Inner, Session};
use super::table::{Found, Table};
use super::timer::{deadline, now};
use super::transport::{
    BoxTransport, Connection, FIRST_READ, broken, poll_read, read_handshake, write_handshake,
};
use crate::link::SharedGuard;

/// How long a client waits before it asks again for something that there is no room for.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const CANT_RESUME: &str = "the client can't resume the session";

/// Runs the handshake of one connection.
pub(super) async fn accept(
    table: &Arc<Table>,
    mut io: BoxTransport,
    identity: Option<Box<[u8]>>,
) -> io::Result<Accepted> {
    let Ok(_permit) = table.handshakes.try_acquire() else {
        counts::refused(true);
        return Err(refused("too many handshakes are running"));
    };
    let limit = table.options.handshake_limit();
    let deadline = deadline(limit);
    let first = timeout_at(deadline, read_handshake(&mut io)).await?;
    let (message, early) = match first {
        Err(error) => return reject_version(io, error, deadline).await,
        Ok(first) => first,
    };
    let outcome = match message {
        Handshake::Hello(hello) => begin(table, io, early, &hello, identity),
        Handshake::Resume(message) => resume(table, io, early, &message, identity.as_deref()),
        Handshake::Welcome(_) | Handshake::Resumed(_) | Handshake::Reject(_) => {
            return Err(broken(ProtocolError::NotThisProtocol));
        }
    };
    match outcome {
        Outcome::Attached(session) => confirmed(table, &session).await,
        Outcome::Answer(mut io, answer) => {
            if let Some(is_busy) = answer.is_busy {
                counts::refused(is_busy);
            }
            timeout_at(deadline, write_last(&mut io, &answer.message)).await??;
            answer.result
        }
    }
}

/// What a handshake comes to.
enum Outcome {
    /// The connection is the session's.
    Attached(Arc<Session>),
    /// The connection gets an answer, and is closed.
    Answer(BoxTransport, Answer),
}

struct Answer {
    message: Vec<u8>,
    /// Of a refusal: whether the client may try again.
    is_busy: Option<bool>,
    result: io::Result<Accepted>,
}

impl Answer {
    fn reject(reject: &Reject, why: &'static str) -> Self {
        Self {
            message: reject.encode(),
            is_busy: Some(matches!(reject.refusal, Refusal::Busy { .. })),
            result: Err(refused(why)),
        }
    }

    /// Returns the answer for a session that has ended.
    fn of_tombstone(answer: Result<Resumed, Reject>) -> Self {
        match answer {
            Ok(resumed) => Self {
                message: resumed.encode(),
                is_busy: None,
                result: Ok(Accepted::Resumed),
            },
            Err(reject) => Self::reject(&reject, CANT_RESUME),
        }
    }

    fn busy(why: &'static str, after: Duration) -> Self {
        let retry_after = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        let refusal = Refusal::Busy { retry_after };
        Self::reject(&Reject { refusal }, why)
    }
}

/// Returns a new id and secret, from the random numbers of the system (R7).
fn credentials() -> Result<(SessionId, Secret), getrandom::Error> {
    let (mut id, mut secret) = ([0; 16], [0; 32]);
    getrandom::fill(&mut id)?;
    getrandom::fill(&mut secret)?;
    Ok((SessionId(id), Secret(secret)))
}

/// Begins a session. Its limits are reserved before anything else happens (R14).
fn begin(
    table: &Arc<Table>,
    io: BoxTransport,
    early: Vec<u8>,
    hello: &Hello,
    identity: Option<Box<[u8]>>,
) -> Outcome {
    let Ok(credentials) = credentials() else {
        let answer = Answer::busy("the system has no random numbers", RETRY_AFTER);
        return Outcome::Answer(io, answer);
    };
    let shared = SharedGuard::default();
    let now = now();
    let session = table.insert(credentials.0, identity, |share| {
        let options = table.options.of_session(share);
        let acceptor = Acceptor::new(now, options, hello, credentials);
        let session = Session::new(End::Acceptor(acceptor), &hello.metadata);
        Arc::new(session)
    });
    let session = match session {
        Ok(session) => session,
        Err(Full::Closed) => {
            let refusal = Refusal::Lost(Reason::Closed.code());
            let answer = Answer::reject(&Reject { refusal }, "the server shuts down");
            return Outcome::Answer(io, answer);
        }
        Err(Full::Busy(why)) => return Outcome::Answer(io, Answer::busy(why, RETRY_AFTER)),
    };
    let connection = Connection::new(io, 0, early);
    let connections = AcceptedConnections::new(Arc::clone(table), connection, shared);
    session.set_handle(connections.handle());
    tokio::spawn(Driver::new(Arc::clone(&session), connections));
    Outcome::Attached(session)
}

/// Continues a session on this connection.
fn resume(
    table: &Table,
    io: BoxTransport,
    early: Vec<u8>,
    resume: &Resume,
    identity: Option<&[u8]>,
) -> Outcome {
    let session = match table.find(resume, identity) {
        Found::Live(session) => session,
        Found::Ended(answer) => return Outcome::Answer(io, Answer::of_tombstone(answer)),
    };
    let most = table.options.resumes_per_second();
    let (attached, driver) = session.update(|inner| {
        let attached = match inner.resume(now(), resume, most) {
            Ok(epoch) => Ok(session.put_incoming(inner, Connection::new(io, epoch, early))),
            Err(answer) => Err((io, answer)),
        };
        // Not for a peer that has proven nothing (R6). A resume may end the session as well.
        let is_changed = attached.is_ok() || inner.has_ended();
        let driver = is_changed.then(|| inner.take_driver());
        (attached, driver)
    });
    drop(driver);
    match attached {
        // A connection that this one replaces is dropped here, without the lock.
        Ok(_replaced) => Outcome::Attached(session),
        Err((io, answer)) => Outcome::Answer(io, answer),
    }
}

impl Inner {
    /// Attaches a connection, and returns its epoch.
    ///
    /// # Errors
    ///
    /// The answer, and what follows from it.
    fn resume(&mut self, now: Instant, resume: &Resume, most: u32) -> Result<u64, Answer> {
        let unknown = || Answer::reject(&reject_unknown(resume), CANT_RESUME);
        let End::Acceptor(acceptor) = &mut self.end else {
            return Err(unknown());
        };
        if !acceptor.is_proven(resume) {
            return Err(unknown());
        }
        if self.is_over {
            let tombstone = acceptor.tombstone();
            let answer = tombstone.map(|mut tombstone| tombstone.handle_resume(resume));
            return Err(answer.map_or_else(unknown, Answer::of_tombstone));
        }
        // One that is replayed does not count: it must not keep the client out (R6).
        if acceptor.is_newer(resume) && !self.resumes.allow(now, most) {
            let why = "the session is resumed too often";
            return Err(Answer::busy(why, RETRY_AFTER));
        }
        let attached = acceptor.handle_resume(now, resume);
        attached.map_err(|reject| Answer::reject(&reject, CANT_RESUME))
    }
}

/// Tells a client that speaks another version, and returns the error.
async fn reject_version(
    mut io: BoxTransport,
    error: io::Error,
    deadline: tokio::time::Instant,
) -> io::Result<Accepted> {
    let protocol = error.get_ref().and_then(|error| error.downcast_ref());
    if matches!(protocol, Some(ProtocolError::OtherVersion)) {
        counts::refused(false);
        let message = Reject::encode(&Reject {
            refusal: Refusal::Version,
        });
        let told = async {
            write_last(&mut io, &message).await?;
            discard_rest(&mut io).await
        };
        // The client may be gone. The error stays that of its version.
        let _ = timeout_at(deadline, told).await;
    }
    Err(error)
}

/// Writes the last message to a connection, and shuts it down.
async fn write_last(io: &mut BoxTransport, message: &[u8]) -> io::Result<()> {
    write_handshake(io, message).await?;
    poll_fn(|cx| io.as_mut().poll_shutdown(cx)).await
}

/// Reads what may be left of a message, or until the client closes. A socket that is closed with
/// bytes to read resets its connection, and the client may lose the answer.
async fn discard_rest(io: &mut BoxTransport) -> io::Result<()> {
    let mut most = FIRST_READ;
    while most > 0 {
        match poll_fn(|cx| poll_read(io, cx, FIRST_READ, <[u8]>::len)).await? {
            0 => break,
            n => most = most.saturating_sub(n),
        }
    }
    Ok(())
}

/// Returns the error of a connection that was refused.
fn refused(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::ConnectionRefused, why)
}
