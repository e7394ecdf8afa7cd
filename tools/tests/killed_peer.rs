//! A peer in a process of its own, that is stopped and killed. By itself, since a process that is
//! started inherits, for a moment, the sockets of other tests.
#![cfg(target_os = "linux")]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reconnecting_stream::{ConnectionLost, Policy, ReconnectingStream, Seam};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Long enough for a busy machine; nothing waits for it unless it fails.
const DEADLINE: Duration = Duration::from_secs(30);
const MS: Duration = Duration::from_millis(1);

/// Set for the process that plays the peer: the address to listen on.
const PEER: &str = "RECONNECTING_STREAM_TEST_PEER";

/// Not a test, but the peer of one, in a process of its own: this file, run again.
#[test]
fn this_process_is_the_peer_if_a_test_started_it() {
    if std::env::var_os(PEER).is_none() {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    println!("listening {}", listener.local_addr().unwrap());
    let (mut peer, _) = listener.accept().unwrap();
    std::io::Write::write_all(&mut peer, b"hello\n").unwrap();
    // Silent, until it is killed.
    loop {
        std::thread::park();
    }
}

/// Killed when the test ends, however it ends.
struct Peer(Child);

impl Peer {
    fn start() -> (Self, SocketAddr) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "this_process_is_the_peer_if_a_test_started_it",
                "--nocapture",
            ])
            .env(PEER, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = std::io::BufReader::new(child.stdout.take().unwrap());
        let peer = Self(child);
        let address = std::io::BufRead::lines(output)
            .find_map(|line| line.unwrap().split("listening ").nth(1)?.parse().ok())
            .unwrap();
        (peer, address)
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let kill = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(kill.unwrap().success());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_idle_timeout_detects_a_server_that_was_stopped() {
    let (peer, address) = Peer::start();
    let mut stream = ReconnectingStream::builder(move || TcpStream::connect(address))
        .policy(Policy::default().idle_timeout(200 * MS))
        .seam(Seam::Error)
        .connect()
        .await
        .unwrap();
    let mut hello = String::new();
    BufReader::new(&mut stream)
        .read_line(&mut hello)
        .await
        .unwrap();
    assert_eq!(hello, "hello\n");

    peer.signal("STOP");
    let stopped = Instant::now();
    let error = timeout(DEADLINE, stream.read_u8())
        .await
        .unwrap()
        .unwrap_err();
    let lost: &ConnectionLost = error.get_ref().unwrap().downcast_ref().unwrap();
    assert_eq!(lost.cause.kind(), ErrorKind::TimedOut);
    assert!(stopped.elapsed() >= 150 * MS);
    // Its kernel still accepts: only the silence tells.
    assert_eq!(stream.connected().await.unwrap(), 2);
}

#[tokio::test]
async fn a_server_that_was_killed_is_detected_immediately() {
    let (peer, address) = Peer::start();
    let mut stream = ReconnectingStream::builder(move || TcpStream::connect(address))
        .seam(Seam::Error)
        .connect()
        .await
        .unwrap();
    let mut hello = [0; 6];
    stream.read_exact(&mut hello).await.unwrap();
    peer.signal("KILL");
    let error = timeout(DEADLINE, stream.read_u8())
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    sleep(20 * MS).await;
    assert!(stream.get_ref().is_none());
}
