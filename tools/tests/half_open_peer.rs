//! A peer that vanishes, with real packets: in network namespaces of the test's own, the address
//! of the server is taken away, without a FIN or a RST. Needs root.
//!
//! The server and the client are processes in their namespaces: this file, run again.
#![cfg(target_os = "linux")]

#[path = "half_open_peer/namespaces.rs"]
mod namespaces;
#[path = "half_open_peer/process.rs"]
mod process;

use std::env;
use std::time::{Duration, Instant};

use namespaces::Namespaces;
use process::{Process, ROLE};
use reconnecting_stream::{
    Backoff, Endpoint, Event, Keepalive, Policy, ReconnectingStream, ReconnectingTcpStream,
    TcpConnector,
};
use reconnecting_stream_tools::program::tell;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

/// Long enough for a busy machine; nothing waits for it unless it fails.
const DEADLINE: Duration = Duration::from_secs(60);

/// Of the documentation (RFC 5737): they exist in the namespaces only.
const FIRST: &str = "192.0.2.2";
const SECOND: &str = "198.51.100.2";
const PORT: u16 = 7000;

/// The test that is a peer.
const PEER: &str = "this_process_is_the_peer_if_a_test_started_it";

/// Not a test, but a part of them.
#[tokio::test]
async fn this_process_is_the_peer_if_a_test_started_it() {
    let Ok(role) = env::var(ROLE) else { return };
    let connector = || TcpConnector::any_of([FIRST, SECOND].map(|ip| Endpoint::from((ip, PORT))));
    // In each case only one of the two options can notice.
    let by_user_timeout = Duration::from_secs(2);
    let by_keepalive = Keepalive::new()
        .idle(Duration::from_secs(1))
        .interval(Duration::from_secs(1))
        .probes(2);
    let work = async {
        match role.as_str() {
            "server" => serve().await,
            "writes" => writes(connector().keepalive(None).user_timeout(by_user_timeout)).await,
            "reads" => reads(connector().keepalive(by_keepalive).user_timeout(None)).await,
            "name" => {
                let connector = TcpConnector::new(("db.test", PORT));
                reads(connector.keepalive(by_keepalive).user_timeout(None)).await;
            }
            "control" => control(connector().keepalive(None).user_timeout(None)).await,
            other => panic!("{other}"),
        }
    };
    timeout(DEADLINE, work).await.expect("it hangs");
}

/// Greets each client with the address that was reached, and reads what comes.
async fn serve() {
    let listener = tokio::net::TcpListener::bind(("0.0.0.0", PORT))
        .await
        .unwrap();
    println!("<listening> {PORT}");
    loop {
        let (mut peer, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let address = peer.local_addr().unwrap().ip();
            peer.write_all(format!("{address}\n").as_bytes())
                .await
                .unwrap();
            let mut bytes = [0; 4096];
            while peer.read(&mut bytes).await.is_ok_and(|n| n > 0) {}
        });
    }
}

async fn connect(connector: TcpConnector) -> ReconnectingTcpStream {
    let stream = ReconnectingStream::builder(connector)
        .policy(Policy::default().backoff(Backoff::constant(Duration::from_millis(10))))
        .on_event(|event: &Event| match event {
            Event::Lost { cause, .. } => println!("<lost> {:?}", cause.kind()),
            Event::AttemptFailed { error, .. } => println!("<failed> {error}"),
            _ => {}
        })
        .connect()
        .await
        .unwrap();
    println!(
        "<up> {}",
        stream.get_ref().unwrap().peer_addr().unwrap().ip()
    );
    stream
}

async fn writes(connector: TcpConnector) {
    let mut stream = connect(connector).await;
    while stream.generation() == 1 {
        stream.write_all(&[0; 100]).await.unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    stream.write_all(b"continues").await.unwrap();
    let mut greeting = String::new();
    let mut lines = tokio::io::BufReader::new(stream);
    lines.read_line(&mut greeting).await.unwrap();
    print!("<continues> {greeting}");
}

async fn reads(connector: TcpConnector) {
    let mut lines = tokio::io::BufReader::new(connect(connector).await);
    for said in ["greeting", "continues"] {
        let mut greeting = String::new();
        lines.read_line(&mut greeting).await.unwrap();
        print!("<{said}> {greeting}");
    }
}

/// Says when it has read for a while and has not noticed anything.
async fn control(connector: TcpConnector) {
    let mut stream = connect(connector).await;
    let mut greeting = String::new();
    let mut lines = tokio::io::BufReader::new(&mut stream);
    lines.read_line(&mut greeting).await.unwrap();
    let silence = timeout(Duration::from_secs(8), lines.read_line(&mut greeting)).await;
    println!("<unaware> {} {}", silence.is_err(), stream.generation());
}

/// Takes the first address away under a client, and waits until it has noticed within about
/// `limit` and continues at the second. Prints how long it took.
fn vanishes(test: &str, limit: Duration) {
    let Some(namespaces) = Namespaces::new(&test[..1]) else {
        return;
    };
    namespaces.set_host("db.test", FIRST);
    let mut server = Process::start(PEER, &namespaces.server(), "server");
    server.says("listening");
    let mut client = Process::start(PEER, &namespaces.client(), test);
    assert_eq!(client.says("up"), FIRST);
    namespaces.set_host("db.test", SECOND);
    namespaces.take_away(FIRST);
    let gone = Instant::now();
    let cause = client.says("lost");
    let noticed = gone.elapsed();
    // When the neighbour does not answer either, that is the error of the timeout (`tcp(7)`).
    assert!(
        ["TimedOut", "HostUnreachable"].contains(&cause.as_str()),
        "{cause}"
    );
    assert_eq!(client.says("continues"), SECOND);
    let recovery = gone.elapsed() - noticed;
    tell(format_args!(
        "{test}: noticed after {noticed:.1?} ({cause}, limit {limit:?}), continued {recovery:.1?} later"
    ));
    // The kernel's timers are late by up to one more retransmission or probe.
    assert!(noticed < 2 * limit + Duration::from_secs(5), "{noticed:?}");
}

#[test]
fn the_user_timeout_detects_a_peer_that_vanished_while_the_stream_only_writes() {
    vanishes("writes", Duration::from_secs(2));
}

#[test]
fn keepalive_detects_a_peer_that_vanished_while_the_stream_only_reads() {
    vanishes("reads", Duration::from_secs(3));
}

#[test]
fn a_name_is_resolved_again_at_every_attempt() {
    vanishes("name", Duration::from_secs(3));
}

#[test]
fn without_the_options_a_peer_that_vanished_is_not_detected() {
    let Some(namespaces) = Namespaces::new("u") else {
        return;
    };
    let mut server = Process::start(PEER, &namespaces.server(), "server");
    server.says("listening");
    let mut client = Process::start(PEER, &namespaces.client(), "control");
    client.says("up");
    namespaces.take_away(FIRST);
    assert_eq!(client.says("unaware"), "true 1");
}
