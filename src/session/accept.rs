//! The handshake of a server.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::accepted::AcceptedConnections;
use super::confirm::confirmed;
use super::driver::Driver;
use super::protocol::{
    Acceptor, Handshake, Hello, ProtocolError, Reason, Refusal, Reject, Resume, Secret, SessionId,
    reject_unknown,
};
use super::sessions::Accepted;
use super::shared::{End, Inner, Session};
use super::table::{Found, Full, Table};
use super::timer::{deadline, now};
use super::transport::{BoxTransport, Connection, broken, read_handshake, write_handshake};
use crate::link::SharedGuard;

/// How long a client waits before it asks again for something that there is no room for.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Runs the handshake of one connection.
pub(super) async fn accept(
    table: &Arc<Table>,
    mut io: BoxTransport,
    identity: Option<Box<[u8]>>,
) -> io::Result<Accepted> {
    let Ok(_permit) = table.handshakes.try_acquire() else {
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
        Outcome::Attached(session) => confirmed(&session).await,
        Outcome::Answer(mut io, answer) => {
            let answered = async {
                write_handshake(&mut io, &answer.message).await?;
                std::future::poll_fn(|cx| io.as_mut().poll_shutdown(cx)).await
            };
            timeout_at(deadline, answered).await??;
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
    result: io::Result<Accepted>,
}

impl Answer {
    fn reject(reject: &Reject, why: &'static str) -> Self {
        Self {
            message: reject.encode(),
            result: Err(refused(why)),
        }
    }

    fn busy(why: &'static str, after: Duration) -> Self {
        let retry_after = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        let refusal = Refusal::Busy { retry_after };
        Self::reject(&Reject { refusal }, why)
    }
}

/// Begins a session. Its limits are reserved before anything else happens (R14).
fn begin(
    table: &Arc<Table>,
    io: BoxTransport,
    early: Vec<u8>,
    hello: &Hello,
    identity: Option<Box<[u8]>>,
) -> Outcome {
    let mut random = [0; 48];
    if getrandom::fill(&mut random).is_err() {
        let answer = Answer::busy("the system has no random numbers", RETRY_AFTER);
        return Outcome::Answer(io, answer);
    }
    let (mut id, mut secret) = ([0; 16], [0; 32]);
    id.copy_from_slice(&random[..16]);
    secret.copy_from_slice(&random[16..]);
    let credentials = (SessionId(id), Secret(secret));
    let shared = SharedGuard::default();
    let now = now();
    let session = table.insert(SessionId(id), identity, |share| {
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
    let provisional_until = now.checked_add(table.options.handshake_limit());
    let connection = Connection::new(io, 0, early);
    let connections =
        AcceptedConnections::new(Arc::clone(table), connection, shared, provisional_until);
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
    const WHY: &str = "the client can't resume the session";
    let session = match table.find(resume, identity) {
        Found::Live(session) => session,
        Found::Ended(Ok(resumed)) => {
            let (message, result) = (resumed.encode(), Ok(Accepted::Resumed));
            return Outcome::Answer(io, Answer { message, result });
        }
        Found::Ended(Err(reject)) => return Outcome::Answer(io, Answer::reject(&reject, WHY)),
    };
    let mut io = Some(io);
    let most = table.options.resumes_per_second();
    let (attached, driver, replaced) = session.update(|inner| {
        let attached = inner.resume(now(), resume, most);
        let replaced = match (&attached, io.take()) {
            (Attaching::Attached(epoch), Some(io)) => {
                inner.incoming.replace(Connection::new(io, *epoch, early))
            }
            (_, kept) => {
                io = kept;
                None
            }
        };
        (attached, inner.take_driver(), replaced)
    });
    // Foreign code, without the lock.
    drop(replaced);
    if let Some(driver) = driver {
        driver.wake();
    }
    let answer = match attached {
        Attaching::Attached(_) => return Outcome::Attached(session),
        Attaching::Complete(message) => Answer {
            message,
            result: Ok(Accepted::Resumed),
        },
        Attaching::Refused(reject) => Answer::reject(&reject, WHY),
        Attaching::TooOften => Answer::busy("the session is resumed too often", SECOND),
    };
    match io {
        Some(io) => Outcome::Answer(io, answer),
        None => Outcome::Attached(session),
    }
}

/// What a RESUME of a session that is known comes to.
enum Attaching {
    Attached(u64),
    /// The session is complete, and its driver gone: the answer.
    Complete(Vec<u8>),
    Refused(Reject),
    TooOften,
}

const SECOND: Duration = Duration::from_secs(1);

impl Inner {
    fn resume(&mut self, now: Instant, resume: &Resume, most: u32) -> Attaching {
        let End::Acceptor(acceptor) = &mut self.end else {
            return Attaching::Refused(reject_unknown(resume));
        };
        if !acceptor.is_proven(resume) {
            return Attaching::Refused(reject_unknown(resume));
        }
        if self.is_over {
            let tombstone = acceptor.tombstone();
            let answer = tombstone.map(|mut tombstone| tombstone.handle_resume(resume));
            return match answer {
                Some(Ok(resumed)) => Attaching::Complete(resumed.encode()),
                Some(Err(reject)) => Attaching::Refused(reject),
                None => Attaching::Refused(reject_unknown(resume)),
            };
        }
        // One that is replayed does not count: it must not keep the client out (R6).
        if acceptor.is_newer(resume) && !self.resumes.allow(now, most) {
            return Attaching::TooOften;
        }
        match acceptor.handle_resume(now, resume) {
            Ok(epoch) => Attaching::Attached(epoch),
            Err(reject) => Attaching::Refused(reject),
        }
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
        let refusal = Refusal::Version;
        let message = Reject { refusal }.encode();
        timeout_at(deadline, write_handshake(&mut io, &message)).await??;
    }
    Err(error)
}

/// Returns the error of a connection that was refused.
fn refused(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::ConnectionRefused, why)
}
