//! `netcat` as a program: its output and its exit status, against real sockets.

#[path = "netcat/endings.rs"]
mod endings;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use reconnecting_stream_tools::soon::soon;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::sleep;

fn netcat() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netcat"));
    command.kill_on_drop(true);
    command
}

/// A running netcat, line by line.
struct Netcat {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Netcat {
    /// Retries fast.
    fn start(address: SocketAddr, options: &[&str]) -> Self {
        let mut child = netcat()
            .args(["--initial-delay", "10", "--max-delay", "50"])
            .args(options)
            .arg(address.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take(),
            stdout: lines(child.stdout.take().unwrap()),
            stderr: lines(child.stderr.take().unwrap()),
            child,
        }
    }

    async fn types(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).await.unwrap();
    }

    fn ends_stdin(&mut self) {
        self.stdin = None;
    }

    async fn prints(&mut self, line: &str) {
        let printed = soon(self.stdout.next_line()).await.unwrap();
        assert_eq!(printed.as_deref(), Some(line));
    }

    async fn prints_no_more(&mut self) {
        assert_eq!(soon(self.stdout.next_line()).await.unwrap(), None);
    }

    /// Skips what it tells before.
    async fn tells(&mut self, words: &str) {
        let mut told = Vec::new();
        let is_told = soon(async {
            while let Some(line) = self.stderr.next_line().await.unwrap() {
                if line.contains(words) {
                    return true;
                }
                told.push(line);
            }
            false
        });
        assert!(is_told.await, "nothing about {words:?} in {told:#?}");
    }

    async fn exits(&mut self) -> ExitStatus {
        soon(self.child.wait()).await.unwrap()
    }
}

fn lines<R: AsyncRead + Unpin>(output: R) -> Lines<BufReader<R>> {
    BufReader::new(output).lines()
}

/// A port that refuses connections and that no other process can take.
async fn reserve(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(cfg!(not(windows))).unwrap();
    soon(async {
        // A program that another test is starting has our dropped listener until it is `exec`ed.
        while let Err(error) = socket.bind(address) {
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    socket
}

/// A server that is up.
async fn listen() -> (TcpListener, SocketAddr) {
    let socket = reserve((Ipv4Addr::LOCALHOST, 0).into()).await;
    let listener = socket.listen(8).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn accept(listener: &TcpListener) -> BufReader<TcpStream> {
    BufReader::new(soon(listener.accept()).await.unwrap().0)
}

async fn receives(io: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    soon(io.read_line(&mut line)).await.unwrap();
    line
}

fn reset(io: BufReader<TcpStream>) {
    io.into_inner().set_zero_linger().unwrap();
}

/// Takes the server down; its port refuses until it listens again.
async fn kill(listener: TcpListener, io: BufReader<TcpStream>) -> TcpSocket {
    let address = listener.local_addr().unwrap();
    drop(listener);
    reset(io);
    reserve(address).await
}

#[tokio::test]
async fn netcat_continues_after_its_server_was_killed_and_restarted() {
    let (listener, address) = listen().await;
    let mut netcat = Netcat::start(address, &[]);
    let mut io = accept(&listener).await;
    netcat.types("before\n").await;
    assert_eq!(receives(&mut io).await, "before\n");
    io.write_all(b"answer 1\n").await.unwrap();
    netcat.prints("answer 1").await;

    let port = kill(listener, io).await;
    netcat.tells("lost connection 1").await;
    netcat.types("meanwhile\n").await;
    netcat.tells("attempt 3 failed").await;
    let listener = port.listen(8).unwrap();

    let mut io = accept(&listener).await;
    assert_eq!(receives(&mut io).await, "meanwhile\n");
    netcat.types("after\n").await;
    assert_eq!(receives(&mut io).await, "after\n");
    io.write_all(b"answer 2\n").await.unwrap();
    netcat.prints("answer 2").await;

    netcat.ends_stdin();
    assert_eq!(receives(&mut io).await, "");
    io.write_all(b"said after the end of stdin").await.unwrap();
    drop(io);
    netcat.prints("said after the end of stdin").await;
    netcat.prints_no_more().await;
    assert!(netcat.exits().await.success());
}

#[tokio::test]
async fn netcat_drops_a_line_of_output_that_was_cut() {
    let (listener, address) = listen().await;
    let mut netcat = Netcat::start(address, &[]);
    let mut io = accept(&listener).await;
    io.write_all(b"whole\nha").await.unwrap();
    drop(io);
    netcat.prints("whole").await;
    netcat.tells("2 bytes of it dropped").await;
    let mut io = accept(&listener).await;
    io.write_all(b"whole again\n").await.unwrap();
    netcat.prints("whole again").await;
}

#[tokio::test]
async fn netcat_passes_bytes_as_they_come_with_a_hidden_seam() {
    let (listener, address) = listen().await;
    let mut netcat = Netcat::start(address, &["--seam", "hidden"]);
    let mut io = accept(&listener).await;
    io.write_all(b"ha").await.unwrap();
    drop(io);
    let mut io = accept(&listener).await;
    netcat.types("no end of line").await;
    let mut typed = [0; "no end of line".len()];
    soon(io.read_exact(&mut typed)).await.unwrap();
    io.write_all(b"lf\n").await.unwrap();
    netcat.prints("half").await;
}

#[tokio::test]
async fn netcat_sends_a_line_that_was_cut_again_and_whole() {
    let (listener, address) = listen().await;
    let mut netcat = Netcat::start(address, &["--max-attempts", "none"]);
    let mut stdin = netcat.stdin.take().unwrap();
    let typing = tokio::spawn(async move {
        for number in 0.. {
            let line = format!("{number:01000}\n");
            stdin.write_all(line.as_bytes()).await.unwrap();
        }
    });
    let server = async {
        let mut next = 0;
        let mut patience = Duration::from_millis(50);
        loop {
            let mut io = accept(&listener).await;
            next = takes_lines(&mut io, next).await;
            // Until the connection is full, or else for longer the next time.
            sleep(patience).await;
            patience *= 2;
            reset(io);
        }
    };
    tokio::select! {
        () = netcat.tells("is sent again") => {}
        () = server => {}
    }
    takes_lines(&mut accept(&listener).await, 0).await;
    typing.abort();
}

/// Takes some lines, from this number on; returns the number after them.
async fn takes_lines(io: &mut BufReader<TcpStream>, mut next: u64) -> u64 {
    for _ in 0..20 {
        let line = receives(io).await;
        assert_eq!(line.len(), 1001, "torn: {line}");
        let number: u64 = line.trim().parse().unwrap();
        assert!(number >= next, "{number} after {next}");
        next = number + 1;
    }
    next
}

#[tokio::test]
async fn netcat_leaves_a_server_that_is_silent_for_too_long() {
    let (listener, address) = listen().await;
    let mut netcat = Netcat::start(address, &["--idle-timeout", "0.05"]);
    let server = tokio::spawn(async move {
        loop {
            let mut io = accept(&listener).await;
            // On a slow machine it has been left already.
            let _ = io.write_all(b"here\n").await;
            let _ = io.read_to_end(&mut Vec::new()).await;
        }
    });
    netcat.prints("here").await;
    netcat.tells("nothing arrived within 50ms").await;
    netcat.prints("here").await;
    server.abort();
}

#[tokio::test]
async fn netcat_tries_the_first_connection_once_unless_told_otherwise() {
    let refusing = reserve((Ipv4Addr::LOCALHOST, 0).into()).await;
    let address = refusing.local_addr().unwrap();
    let mut once = Netcat::start(address, &[]);
    assert_eq!(once.exits().await.code(), Some(1));

    let mut patient = Netcat::start(address, &["--retry-initial"]);
    patient.tells("attempt 2 failed").await;
    let listener = refusing.listen(8).unwrap();
    let _io = accept(&listener).await;
    patient.ends_stdin();
    patient.tells("connection 1 is up").await;
}
