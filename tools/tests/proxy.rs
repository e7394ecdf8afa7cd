//! The recipe `proxy` before a real `socat`, and what happens to a proxy without it.
#![cfg(target_os = "linux")]

use std::fs;
use std::future::ready;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use reconnecting_stream::{Backoff, Eof, Policy, ReconnectingStream, Seam};
use reconnecting_stream_tools::program::{Program, are_installed, free_port, tell};
use reconnecting_stream_tools::proxy::{Counts, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy_bidirectional, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

const DEADLINE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Answers with what it is sent, each connection in a process of its own. It waits for the rest
/// of an answer for as long as it takes, and writes no more in one call than a pipe takes without
/// blocking, or it would wait for itself.
fn echo() -> Program {
    let port = free_port();
    let listen = format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork");
    Program::start("socat", port, ["-b", "4096", "-t", "60", &listen, "PIPE"])
}

async fn proxy_to(upstream: SocketAddr) -> (SocketAddr, Arc<Counts>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let counts = Arc::new(Counts::default());
    let policy = Policy::default()
        .backoff(Backoff::constant(2 * MS))
        .max_attempts(None);
    tokio::spawn(run(listener, upstream, policy, Arc::clone(&counts)));
    (address, counts)
}

/// Much more than a client has read when its upstream is killed.
fn bytes(seed: usize) -> Vec<u8> {
    (0..3_000_000usize)
        .map(|i| (i * (seed + 1) % 251).to_le_bytes()[0])
        .collect()
}

/// What a client got, and whether it was reset.
async fn converse(address: SocketAddr, say: &[u8], kill: impl FnOnce()) -> (Vec<u8>, bool) {
    let mut io = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = io.split();
    let saying = async {
        writer.write_all(say).await?;
        writer.shutdown().await
    };
    let mut answer = Vec::new();
    let hearing = async {
        let mut first = vec![0; say.len().min(1000)];
        reader.read_exact(&mut first).await?;
        kill();
        answer.extend(first);
        reader.read_to_end(&mut answer).await
    };
    let done: Result<_, io::Error> = timeout(DEADLINE, async { tokio::try_join!(saying, hearing) })
        .await
        .expect("it hangs");
    (answer, done.is_err())
}

#[tokio::test]
async fn half_closed_conversations_are_passed_on_whole() {
    if !are_installed(&["socat"]) {
        return;
    }
    let upstream = echo();
    let (address, counts) = proxy_to(upstream.address()).await;
    for seed in 0..3 {
        let sent = bytes(seed);
        let (answer, is_reset) = converse(address, &sent, || ()).await;
        assert!(!is_reset);
        assert!(answer == sent, "{} of {} bytes", answer.len(), sent.len());
    }
    wait_for(&counts, 3).await;
    let (up, down) = (&counts.bytes_up, &counts.bytes_down);
    let (up, down) = (up.load(Ordering::Relaxed), down.load(Ordering::Relaxed));
    tell(format_args!(
        "9000000 bytes sent, {up} up, {down} down, 0 missing"
    ));
    assert_eq!((up, down), (9_000_000, 9_000_000));
}

/// Until the proxy has ended so many conversations.
async fn wait_for(counts: &Counts, conversations: u64) {
    let ended = async {
        while counts.finished.load(Ordering::Relaxed) + counts.lost.load(Ordering::Relaxed)
            < conversations
        {
            sleep(MS).await;
        }
    };
    timeout(DEADLINE, ended).await.expect("it hangs");
}

#[tokio::test]
async fn no_client_gets_the_bytes_of_another_connection_when_the_upstream_is_killed() {
    if !are_installed(&["socat"]) {
        return;
    }
    let mut upstream = echo();
    let (address, counts) = proxy_to(upstream.address()).await;
    let (mut whole, mut cut, mut reset, mut wrong) = (0, 0, 0, 0);
    let (mut sent_bytes, mut received) = (0, 0);
    for round in 0..20 {
        let sent = bytes(round);
        let is_killed = round % 2 == 1;
        let kill = || {
            if is_killed {
                upstream.restart();
            }
        };
        let (answer, is_reset) = converse(address, &sent, kill).await;
        sent_bytes += sent.len();
        received += answer.len();
        wrong += usize::from(!sent.starts_with(&answer));
        match (answer.len() == sent.len(), is_reset) {
            (true, _) => whole += 1,
            (false, true) => reset += 1,
            // Its system sent FIN: as without a proxy.
            (false, false) => cut += 1,
        }
    }
    wait_for(&counts, 20).await;
    tell(format_args!(
        "{sent_bytes} bytes sent, {received} received, {} missing, 20 conversations: {whole} whole, \
         {reset} reset, {cut} ended early, {wrong} with wrong bytes",
        sent_bytes - received
    ));
    // A server that is killed late has answered whole.
    assert_eq!((wrong, whole + reset + cut), (0, 20));
    assert!(whole >= 10 && reset + cut > 0, "{whole} whole");
}

#[tokio::test]
async fn a_client_waits_for_an_upstream_that_is_down() {
    if !are_installed(&["socat"]) {
        return;
    }
    let mut upstream = echo();
    let (address, counts) = proxy_to(upstream.address()).await;
    upstream.kill();
    let client = tokio::spawn(async move { converse(address, b"are you there?", || ()).await });
    sleep(50 * MS).await;
    assert!(!client.is_finished());
    upstream.restart();
    let (answer, is_reset) = client.await.unwrap();
    assert_eq!((&answer[..], is_reset), (&b"are you there?"[..], false));
    wait_for(&counts, 1).await;
}

#[tokio::test]
async fn an_upstream_that_finishes_first_ends_the_conversation() {
    if !are_installed(&["socat"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answer");
    fs::write(&path, bytes(0)).unwrap();
    let port = free_port();
    let open = format!("OPEN:{}", path.display());
    let listen = format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr");
    let upstream = Program::start("socat", port, ["-u", &open, &listen]);
    let (address, counts) = proxy_to(upstream.address()).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(DEADLINE, client.read_to_end(&mut answer)).await;
    read.expect("it hangs").unwrap();
    assert!(answer == bytes(0));
    client.shutdown().await.unwrap();
    wait_for(&counts, 1).await;
    assert_eq!(counts.finished.load(Ordering::Relaxed), 1);
}

/// Why the seam is not hidden.
#[tokio::test(start_paused = true)]
async fn with_a_hidden_seam_the_bytes_continue_in_the_middle() {
    let (accepted, mut connections) = mpsc::unbounded_channel();
    let mut upstream = ReconnectingStream::builder(move || {
        let (near, far) = duplex("transfer ".len());
        accepted.send(far).unwrap();
        ready(Ok(near))
    })
    .seam(Seam::Hidden)
    .connect()
    .await
    .unwrap();
    let (mut client, mut end) = duplex(1024);
    client.write_all(b"transfer 1000 to bob").await.unwrap();
    let mut serve = async |expected: &str| {
        let mut server: DuplexStream = connections.recv().await.unwrap();
        let mut got = vec![0; expected.len()];
        server.read_exact(&mut got).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&got), expected);
    };
    let serving = async {
        serve("transfer ").await;
        serve("1000 to bob").await;
    };
    tokio::select! {
        copied = copy_bidirectional(&mut end, &mut upstream) => panic!("{copied:?}"),
        served = timeout(60 * SECOND, serving) => served.unwrap(),
    }
}

/// Returns a connection whose server has sent this, and has closed it.
fn closed_after(answer: &str) -> DuplexStream {
    let (near, mut far) = duplex(64);
    let sent = far.write_all(answer.as_bytes()).now_or_never();
    sent.unwrap().unwrap();
    near
}

/// Why the end of the stream is passed.
#[tokio::test(start_paused = true)]
async fn without_eof_pass_the_end_of_a_response_is_taken_for_a_loss() {
    for (eof, is_lost) in [(Eof::Reconnect, true), (Eof::Pass, false)] {
        let connector = || ready(Ok(closed_after("all there is")));
        let mut upstream = ReconnectingStream::builder(connector)
            .policy(Policy::default().eof(eof))
            .seam(Seam::Error)
            .connect()
            .await
            .unwrap();
        let (client, mut end) = duplex(1024);
        let (mut reader, mut writer) = tokio::io::split(client);
        let conversing = async {
            let mut answer = String::new();
            reader.read_to_string(&mut answer).await.unwrap();
            writer.shutdown().await.unwrap();
            answer
        };
        let copying = async {
            let copied = copy_bidirectional(&mut end, &mut upstream).await;
            end.shutdown().await.unwrap();
            copied
        };
        let (copied, answer) = tokio::join!(copying, conversing);
        assert_eq!(answer, "all there is");
        assert_eq!(copied.is_err(), is_lost, "{eof:?}");
    }
}

/// It has closed its side before there is an upstream.
#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_gets_its_response_too() {
    let connector = async || {
        sleep(SECOND).await;
        Ok(closed_after("the time of day"))
    };
    let mut upstream = ReconnectingStream::builder(connector)
        .policy(Policy::default().eof(Eof::Pass))
        .seam(Seam::Error)
        .lazy();
    let (mut client, mut end) = duplex(1024);
    client.shutdown().await.unwrap();
    copy_bidirectional(&mut end, &mut upstream).await.unwrap();
    let mut answer = String::new();
    end.shutdown().await.unwrap();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "the time of day");
}
