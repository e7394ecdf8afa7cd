//! How often a client connects to a peer that dies at the first command of each connection, if it
//! answers every failure with `mark_lost`: no more often than to one that refuses.
#![cfg(feature = "codec")]

use std::io::{self, ErrorKind};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reconnecting_stream::{
    Backoff, Connect, Jitter, Policy, ReconnectingFramed, ReconnectingStream, Seam,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::codec::{LinesCodec, LinesCodecError};

const HOUR: Duration = Duration::from_secs(3600);
/// More than any client may make in an hour.
const TOO_MANY: u32 = 2_000;
const COMMAND: &str = "command\n";
const REJECTION: &str = "rejected\n";

/// What a peer does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Refuses,
    /// At the first command.
    Closes,
    /// The first command, and keeps the connection: only the client can tell that it is bad.
    Rejects,
}

/// A peer, and the attempts to connect to it.
struct Target {
    peer: Peer,
    attempts: watch::Sender<u32>,
}

impl Target {
    fn new(peer: Peer) -> Self {
        let attempts = watch::Sender::default();
        Self { peer, attempts }
    }

    fn connector(&self) -> impl Connect<Io = DuplexStream, Future: Send> + Send + Sync + use<> {
        let (peer, attempts) = (self.peer, self.attempts.clone());
        move || {
            attempts.send_modify(|attempts| *attempts += 1);
            async move {
                if peer == Peer::Refuses {
                    return Err(ErrorKind::ConnectionRefused.into());
                }
                let (ours, theirs) = duplex(1024);
                tokio::spawn(serve(peer, theirs));
                Ok(ours)
            }
        }
    }
}

async fn serve(peer: Peer, socket: DuplexStream) -> io::Result<()> {
    let mut socket = BufReader::new(socket);
    socket.read_line(&mut String::new()).await?;
    if peer == Peer::Rejects {
        socket.write_all(REJECTION.as_bytes()).await?;
        socket.read_to_end(&mut Vec::new()).await?;
    }
    Ok(())
}

fn rejected() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "the peer rejected the command")
}

type Lines<C> = ReconnectingFramed<C, LinesCodec>;

/// Sends its command until it is accepted, which it never is.
async fn send_lines<C>(mut lines: Lines<C>, on_failure: impl Fn(&mut Lines<C>, io::Error))
where
    C: Connect<Io = DuplexStream>,
{
    loop {
        let sent = async {
            lines.send(COMMAND.trim_end()).await?;
            lines.next().await.expect("no end")
        };
        let cause = match sent.await {
            Ok(_) => rejected(),
            Err(LinesCodecError::Io(error)) => error,
            Err(LinesCodecError::MaxLineLengthExceeded) => unreachable!(),
        };
        on_failure(&mut lines, cause);
    }
}

/// The same on a stream of bytes.
async fn send_bytes<C>(mut stream: ReconnectingStream<C>)
where
    C: Connect<Io = DuplexStream>,
{
    let mut reply = [0; REJECTION.len()];
    loop {
        let sent = async {
            stream.write_all(COMMAND.as_bytes()).await?;
            stream.read_exact(&mut reply).await
        };
        let cause = sent.await.map_or_else(|error| error, |_| rejected());
        stream.mark_lost(cause);
    }
}

/// A client that never gives up.
#[derive(Clone, Copy, Debug)]
enum Client {
    Framed,
    FramedByHandle,
    Stream,
    /// Asks for a reconnect instead.
    Reconnects,
}

impl Client {
    async fn run(self, target: &Target, policy: Policy) {
        let connector = target.connector();
        let builder = ReconnectingFramed::builder(connector, LinesCodec::new())
            .policy(policy.clone())
            .seam(Seam::Error);
        match self {
            Self::Framed => send_lines(builder.lazy(), ReconnectingFramed::mark_lost).await,
            Self::FramedByHandle => {
                send_lines(builder.lazy(), |lines, cause| {
                    lines.handle().mark_lost(cause);
                })
                .await;
            }
            Self::Stream => {
                let builder = ReconnectingStream::builder(target.connector())
                    .policy(policy)
                    .seam(Seam::Error);
                send_bytes(builder.lazy()).await;
            }
            Self::Reconnects => send_lines(builder.lazy(), |lines, _| lines.reconnect()).await,
        }
    }
}

/// Returns how many connections a client attempts in an hour, or until they are too many; and how
/// long that took.
async fn attempts(client: Client, peer: Peer, policy: Policy) -> (u32, Duration) {
    // The delays of all runs are drawn from the same sequence.
    fastrand::seed(1);
    let (begun, target) = (Instant::now(), Target::new(peer));
    let mut attempts = target.attempts.subscribe();
    tokio::select! {
        () = client.run(&target, policy) => unreachable!(),
        _ = attempts.wait_for(|&attempts| attempts >= TOO_MANY) => {}
        () = sleep(HOUR) => {}
    }
    let attempts = *target.attempts.borrow();
    (attempts, begun.elapsed())
}

/// The default, and without a limit of attempts; with jitter and without.
fn policies() -> [Policy; 2] {
    let policy = Policy::default().max_attempts(None);
    let without_jitter = Backoff::exponential(Duration::from_millis(100)).jitter(Jitter::None);
    [policy.clone(), policy.backoff(without_jitter)]
}

async fn assert_no_more_often_than_refused(client: Client) {
    for policy in policies() {
        let (refused, _) = attempts(client, Peer::Refuses, policy.clone()).await;
        for peer in [Peer::Closes, Peer::Rejects] {
            let (dying, _) = attempts(client, peer, policy.clone()).await;
            println!("{client:?}: {dying} connections in an hour, {refused} if they are refused");
            assert!(dying * 10 <= refused * 13, "{peer:?}");
            // It is not because the client waits for something else.
            assert!(dying * 13 >= refused * 10, "{peer:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_framed_stream_that_marks_each_connection_lost_connects_no_more_often_than_if_it_were_refused()
 {
    assert_no_more_often_than_refused(Client::Framed).await;
}

#[tokio::test(start_paused = true)]
async fn a_framed_stream_whose_handle_marks_each_connection_lost_connects_no_more_often_than_if_it_were_refused()
 {
    assert_no_more_often_than_refused(Client::FramedByHandle).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_marks_each_connection_lost_connects_no_more_often_than_if_it_were_refused() {
    assert_no_more_often_than_refused(Client::Stream).await;
}

/// The control.
#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_reconnects_makes_thousands_of_connections_in_no_time() {
    for policy in policies() {
        let (made, time) = attempts(Client::Reconnects, Peer::Rejects, policy).await;
        assert!(made >= TOO_MANY, "{made}");
        assert!(time < Duration::from_secs(1), "{time:?}");
    }
}
