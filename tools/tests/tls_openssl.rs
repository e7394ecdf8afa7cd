//! `openssl s_server`, killed and restarted: lines are asked until they are answered.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reconnecting_stream::{
    Backoff, Connect, Event, Policy, ReconnectingFramed, ReconnectingStream, Resend, Seam,
    TlsConnector,
};
use reconnecting_stream_tools::certificates::{Authority, name};
use reconnecting_stream_tools::program::{Program, are_installed, free_port, tell};
use reconnecting_stream_tools::soon::soon;
use rustls::HandshakeKind;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::codec::LinesCodec;

const RESTARTS: usize = 5;
const LINES: usize = 20;
const MESSAGES: usize = 2000;

/// Answers each line with the line reversed, to one client after the other.
fn start(authority: &Authority, folder: &Path) -> Program {
    let identity = authority.issue();
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    fs::write(&certificate, identity.certificate.pem()).unwrap();
    fs::write(&key, identity.key.serialize_pem()).unwrap();
    let port = free_port();
    let accept = format!("127.0.0.1:{port}");
    let paths = [&certificate, &key].map(|path| path.to_str().unwrap().to_owned());
    let [certificate, key] = &paths;
    let args = [
        "s_server",
        "-accept",
        &accept,
        "-cert",
        certificate,
        "-key",
        key,
    ];
    Program::start("openssl", port, args.into_iter().chain(["-quiet", "-rev"]))
}

fn connector(
    server: &Program,
    authority: &Authority,
) -> TlsConnector<impl Connect<Io = TcpStream, Future: Send> + Send + Sync + use<>> {
    let address = server.address();
    TlsConnector::new(
        move || TcpStream::connect(address),
        name(),
        authority.client(),
    )
}

fn policy() -> Policy {
    // All the restarts are one outage, since no connection lives long enough to be stable.
    Policy::default()
        .backoff(Backoff::constant(Duration::from_millis(5)))
        .max_attempts(None)
}

/// Kills the server now, and starts it again while the client continues.
async fn restart(mut server: Program) -> Program {
    server.kill();
    let restarting = tokio::task::spawn_blocking(move || {
        server.restart();
        server
    });
    restarting.await.unwrap()
}

/// Counts of the lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    asked: usize,
    answered: usize,
    again: usize,
    torn: usize,
}

/// Asks for a line until it is answered.
async fn ask<C>(stream: &mut BufReader<ReconnectingStream<C>>, line: &str, figures: &mut Figures)
where
    C: Connect<Io: AsyncRead + AsyncWrite + Unpin>,
{
    figures.asked += 1;
    loop {
        let mut answer = String::new();
        let answered = async {
            stream.write_all(format!("{line}\n").as_bytes()).await?;
            stream.flush().await?;
            stream.read_line(&mut answer).await
        };
        if answered.await.is_ok() {
            let reversed: String = line.chars().rev().collect();
            let is_whole = answer.trim_end() == reversed;
            figures.answered += usize::from(is_whole);
            figures.torn += usize::from(!is_whole);
            return;
        }
        figures.again += 1;
    }
}

#[tokio::test]
async fn lines_continue_when_the_server_is_killed_and_started_again() {
    if !are_installed(&["openssl"]) {
        return;
    }
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let mut server = start(&authority, folder.path());
    let stream = ReconnectingStream::builder(connector(&server, &authority))
        .policy(policy())
        .seam(Seam::Error)
        .connect()
        .await
        .unwrap();
    let mut stream = BufReader::new(stream);
    let mut figures = Figures::default();
    for round in 0..=RESTARTS {
        for number in 0..LINES {
            let line = format!("line {number} of round {round}");
            soon(ask(&mut stream, &line, &mut figures)).await;
        }
        if round < RESTARTS {
            let asking = ask(&mut stream, "in the middle", &mut figures);
            let ((), restarted) = soon(async { tokio::join!(asking, restart(server)) }).await;
            server = restarted;
        }
    }
    tell(format_args!(
        "{RESTARTS} kills, {} connections: {figures:?}, missing {}",
        stream.get_ref().generation(),
        figures.asked - figures.answered
    ));
    assert_eq!(figures.answered, (RESTARTS + 1) * LINES + RESTARTS);
    assert_eq!((figures.asked, figures.torn), (figures.answered, 0));
    assert!(figures.again >= RESTARTS);
    assert!(stream.get_ref().generation() > RESTARTS as u64);
}

#[tokio::test]
async fn messages_all_arrive_and_whole_when_the_server_is_killed_in_the_middle() {
    if !are_installed(&["openssl"]) {
        return;
    }
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let mut server = start(&authority, folder.path());
    let connector = connector(&server, &authority);
    let lines = ReconnectingFramed::builder(connector, LinesCodec::new())
        .policy(policy())
        .resend(Resend::Unconfirmed {
            max_bytes: 32 << 10,
        })
        .connect()
        .await
        .unwrap();
    let confirmations = lines.confirm_handle();
    let mut states = lines.handle().subscribe();
    let (mut sink, mut stream) = lines.split();
    let writing = tokio::spawn(async move {
        for number in 0..MESSAGES {
            sink.feed(format!("<{number:200}>")).await.unwrap();
        }
        // What was lost goes again when the sink is used.
        loop {
            SinkExt::<String>::flush(&mut sink).await.unwrap();
            states.changed().await.unwrap();
        }
    });
    let (mut next, mut kills, mut twice, mut missing) = (0, 0, 0, 0);
    while next < MESSAGES {
        let answer = soon(stream.next()).await.unwrap().unwrap();
        let number = number(&answer).unwrap_or_else(|| panic!("torn: {answer:?}"));
        if number < next {
            twice += 1;
            continue;
        }
        missing += number - next;
        confirmations.confirm(number + 1 - next);
        next = number + 1;
        // In the middle of whatever the writer has on its way.
        if kills < RESTARTS && next >= (kills + 1) * MESSAGES / (RESTARTS + 1) {
            server = restart(server).await;
            kills += 1;
        }
    }
    writing.abort();
    tell(format_args!(
        "{kills} kills: {MESSAGES} lines sent, {next} answered, 0 torn, {missing} missing, {twice} twice"
    ));
    assert_eq!((kills, missing), (RESTARTS, 0));
}

/// The number of a line, from its answer: the line reversed.
fn number(answer: &str) -> Option<usize> {
    let line: String = answer.chars().rev().collect();
    let number = line.strip_prefix('<')?.strip_suffix('>')?;
    (number.len() == 200).then(|| number.trim().parse().ok())?
}

#[tokio::test]
async fn sessions_are_resumed_until_the_server_is_restarted() {
    if !are_installed(&["openssl"]) {
        return;
    }
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let mut server = start(&authority, folder.path());
    let stream = ReconnectingStream::builder(connector(&server, &authority))
        .policy(policy())
        .lazy();
    let mut stream = BufReader::new(stream);
    let mut figures = Figures::default();
    let mut kinds = Vec::new();
    for round in 0..6 {
        soon(ask(&mut stream, "line", &mut figures)).await;
        let tls = stream.get_ref().get_ref().unwrap();
        kinds.push(tls.get_ref().1.handshake_kind().unwrap());
        if round == 2 {
            server.restart();
        }
        stream.get_mut().reconnect();
    }
    tell(format_args!("{kinds:?}"));
    use HandshakeKind::{Full, Resumed};
    assert_eq!(kinds, [Full, Resumed, Resumed, Full, Resumed, Resumed]);
    assert_eq!(figures.answered, 6);
}

/// The kernel of a stopped server accepts, and the server does not answer.
#[tokio::test]
async fn a_server_that_is_stopped_in_the_handshake_is_left_and_found_again() {
    if !are_installed(&["openssl"]) {
        return;
    }
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let server = start(&authority, folder.path());
    let (timed_out, mut timeouts) = mpsc::unbounded_channel();
    let stream = ReconnectingStream::builder(connector(&server, &authority))
        .policy(policy().attempt_timeout(Duration::from_millis(200)))
        .on_event(move |event| {
            if let Event::AttemptFailed { error, .. } = event {
                let _ = timed_out.send(error.kind());
            }
        })
        .retry_initial_connect(true)
        .connect();
    let mut stream = BufReader::new(soon(stream).await.unwrap());
    let mut figures = Figures::default();
    soon(ask(&mut stream, "before", &mut figures)).await;
    server.stop();
    stream.get_mut().reconnect();
    let resuming = async {
        while timeouts.recv().await.unwrap() != ErrorKind::TimedOut {}
        server.resume();
    };
    let asking = ask(&mut stream, "after", &mut figures);
    soon(async { tokio::join!(asking, resuming) }).await;
    assert_eq!(figures.answered, 2);
}
