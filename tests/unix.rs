//! Unix sockets: servers that are started again at their path, and what `UnixConnector` does.
#![cfg(all(unix, feature = "codec", feature = "net"))]

#[path = "unix/connector.rs"]
mod connector;

#[path = "support/soon.rs"]
mod soon;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reconnecting_stream::{
    Backoff, Policy, ReconnectingFramed, ReconnectingUnixStream, Seam, State, UnixConnector,
};
use soon::soon;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::codec::LinesCodec;

const RESTARTS: u8 = 10;

fn policy() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(Duration::from_millis(2)))
        .max_attempts(None)
}

/// A folder that is deleted when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("reconnecting-stream-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server at a path; its file is there while it lives.
struct Server(UnixListener, PathBuf);

impl Server {
    fn start(path: &Path) -> Self {
        Self(UnixListener::bind(path).unwrap(), path.to_owned())
    }

    async fn accept(&self) -> UnixStream {
        soon(self.0.accept()).await.unwrap().0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        fs::remove_file(&self.1).unwrap();
    }
}

#[tokio::test]
async fn both_halves_of_a_stream_continue_when_the_server_is_started_again_at_its_path() {
    let folder = Folder::new();
    let path = folder.0.join("socket");
    let mut server = Server::start(&path);
    let stream = ReconnectingUnixStream::builder(UnixConnector::new(&path))
        .policy(policy())
        .connect()
        .await
        .unwrap();
    let handle = stream.handle();
    let mut states = handle.subscribe();
    let (mut reading, mut writing) = split(stream);
    let reader = tokio::spawn(async move {
        let mut read = Vec::new();
        while read.last() != Some(&RESTARTS) {
            read.push(reading.read_u8().await.unwrap());
        }
        read
    });
    for number in 0..=RESTARTS {
        let mut io = server.accept().await;
        // The state is told when the reader's task has polled.
        let here = |state: &State| {
            matches!(state, State::Connected { generation, .. }
                if *generation == u64::from(number) + 1)
        };
        soon(states.wait_for(here)).await.unwrap();
        writing.write_all(&[number]).await.unwrap();
        assert_eq!(soon(io.read_u8()).await.unwrap(), number);
        io.write_all(&[number]).await.unwrap();
        if number < RESTARTS {
            // Reads what it was sent first; then nothing listens, and there is no file.
            drop((server, io));
            soon(states.changed()).await.unwrap();
            server = Server::start(&path);
        } else {
            assert_eq!(
                soon(reader).await.unwrap(),
                (0..=RESTARTS).collect::<Vec<_>>()
            );
            return;
        }
    }
}

#[tokio::test]
async fn messages_continue_when_the_server_is_started_again_at_its_path() {
    let folder = Folder::new();
    let path = folder.0.join("socket");
    let mut server = Server::start(&path);
    let mut lines = ReconnectingFramed::builder(UnixConnector::new(&path), LinesCodec::new())
        .policy(policy())
        .seam(Seam::Error)
        .connect()
        .await
        .unwrap();
    for number in 0..=RESTARTS {
        let mut io = server.accept().await;
        lines.send(format!("question {number}")).await.unwrap();
        let mut question = vec![0; format!("question {number}\n").len()];
        soon(io.read_exact(&mut question)).await.unwrap();
        assert_eq!(question, format!("question {number}\n").into_bytes());
        let answer = format!("answer {number}\nto");
        io.write_all(answer.as_bytes()).await.unwrap();
        drop((server, io));
        let answer = soon(lines.next()).await.unwrap().unwrap();
        assert_eq!(answer, format!("answer {number}"));
        assert!(soon(lines.next()).await.unwrap().is_err(), "the seam");
        server = Server::start(&path);
        soon(lines.connected()).await.unwrap();
    }
}
