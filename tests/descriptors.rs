//! A listener in a process that has no file descriptors left. By itself: the limit and the log are those
//! of a process.
#![cfg(all(target_os = "linux", feature = "net", feature = "session"))]

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reconnecting_stream::{ResumableListener, ResumableStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// How often the listener has failed to accept a connection.
static FAILURES: AtomicUsize = AtomicUsize::new(0);

/// Counts the warnings.
struct Warnings;

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        FAILURES.fetch_add(1, Ordering::SeqCst);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

const LIMITED: &str = "DESCRIPTORS_ARE_LIMITED";

#[test]
fn a_listener_without_descriptors_does_not_spin_and_accepts_again_when_there_are_some() {
    if std::env::var_os(LIMITED).is_some() {
        tracing::subscriber::set_global_default(Warnings).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(run_out_of_descriptors());
        return;
    }
    // In a process of its own, which has 64.
    let status = Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$0\" --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .env(LIMITED, "1")
        .status()
        .unwrap();
    assert!(status.success());
}

async fn run_out_of_descriptors() {
    let listener = ResumableListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connector = move || TcpStream::connect(address);
    let mut client = ResumableStream::connect(connector).await.unwrap();
    let mut stream = listener.accept().await.unwrap();

    // One is left, for the client of a connection that waits to be accepted.
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    drop(files.pop());
    let socket = TcpStream::connect(address).await.unwrap();
    while FAILURES.load(Ordering::SeqCst) < 4 {
        sleep(Duration::from_millis(1)).await;
    }
    // 10 ms, 20 ms, 40 ms, ... later: at most seven in this time.
    sleep(Duration::from_millis(1_000)).await;
    let failures = FAILURES.load(Ordering::SeqCst);
    assert!(failures < 20, "{failures}");

    // A session that is there needs no descriptor.
    client.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');

    drop((files, socket));
    let mut second = ResumableStream::connect(connector).await.unwrap();
    let mut accepted = listener.accept().await.unwrap();
    second.write_all(b"y").await.unwrap();
    assert_eq!(accepted.read_u8().await.unwrap(), b'y');
}
