//! The fault proxy as a program: what it relays, what it says, and its exit status.

use std::io::ErrorKind;
use std::process::Stdio;

use reconnecting_stream::testing::{Fault, Plan};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::example::example;
use crate::support::soon;

/// The program in front of a server.
struct Program {
    server: TcpListener,
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    addr: String,
}

impl Program {
    async fn start(options: &[&str]) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = server.local_addr().unwrap().to_string();
        let mut command = example("fault-proxy");
        command.args(["--upstream", &upstream]).args(options);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon(stdout.next_line()).await.unwrap().unwrap();
        let (addr, relayed_to) = line
            .strip_prefix("listening on ")
            .and_then(|line| line.split_once(", relaying to "))
            .unwrap();
        assert_eq!(relayed_to, upstream);
        let addr = addr.to_owned();
        Self {
            server,
            child,
            stdout,
            addr,
        }
    }

    async fn pair(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(&self.addr).await.unwrap();
        (client, soon(self.server.accept()).await.unwrap().0)
    }

    /// Ends it as ctrl-c does, and returns the lines of its summary.
    async fn interrupt(mut self) -> Vec<String> {
        let kill = format!("kill -INT {}", self.child.id().unwrap());
        let killed = Command::new("sh").args(["-c", &kill]).status();
        assert!(soon(killed).await.unwrap().success());
        let mut lines = Vec::new();
        while let Some(line) = soon(self.stdout.next_line()).await.unwrap() {
            lines.push(line);
        }
        assert!(soon(self.child.wait()).await.unwrap().success());
        lines
    }
}

#[tokio::test]
async fn the_fault_proxy_relays_on_loopback_and_sums_up_on_ctrl_c() {
    let shape = ["--slice", "3", "--bandwidth", "1M", "--latency", "1ms"];
    let program = Program::start(&[&shape[..], &["--slow-close", "1ms"]].concat()).await;
    assert!(program.addr.starts_with("127.0.0.1:"));
    let (mut client, mut peer) = program.pair().await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut question = String::new();
    soon(peer.read_to_string(&mut question)).await.unwrap();
    peer.write_all(b"answer").await.unwrap();
    drop(peer);
    let mut answer = String::new();
    soon(client.read_to_string(&mut answer)).await.unwrap();
    assert_eq!((question.as_str(), answer.as_str()), ("question", "answer"));
    let expected = [
        "connections: 1",
        "without a server: 0",
        "bytes to the server: 8",
        "bytes to clients: 6",
        "slices: 1",
        "latencies: 1",
        // One for each direction.
        "bandwidths: 2",
        "slow closes: 1",
    ];
    assert_eq!(program.interrupt().await, expected);
}

#[tokio::test]
async fn the_fault_proxy_resets_after_so_many_bytes() {
    let program = Program::start(&["--reset-after", "1k"]).await;
    for _ in 0..2 {
        let (mut client, mut peer) = program.pair().await;
        peer.write_all(&[7; 3000]).await.unwrap();
        let mut read = Vec::new();
        let error = soon(client.read_to_end(&mut read)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(read.len() <= 1024);
    }
    let summary = program.interrupt().await;
    for line in ["connections: 2", "bytes to clients: 2048", "resets: 2"] {
        assert!(summary.iter().any(|l| l == line), "{summary:?}");
    }
}

#[tokio::test]
async fn the_fault_proxy_draws_faults_from_a_seed() {
    // Its first plan resets, and its second one closes.
    let is_meant = |seed: &u64| {
        let plan = |connection| Plan::from_seed(*seed, connection).seed(0);
        plan(1) == Fault::Reset.into() && plan(2) == Fault::Fin.into()
    };
    let seed = (0..).find(is_meant).unwrap().to_string();
    let mut program = Program::start(&["--seed", &seed]).await;
    let line = soon(program.stdout.next_line()).await.unwrap().unwrap();
    assert_eq!(line, format!("random faults of the seed {seed}"));
    for expected in [Some(ErrorKind::ConnectionReset), None] {
        let end = match TcpStream::connect(&program.addr).await {
            Ok(mut client) => soon(client.read_to_end(&mut Vec::new())).await.err(),
            // The reset may come before this task is polled again.
            Err(error) => Some(error),
        };
        assert_eq!(end.map(|error| error.kind()), expected);
    }
    let summary = program.interrupt().await;
    for line in ["connections: 2", "resets: 1", "closes: 1"] {
        assert!(summary.iter().any(|l| l == line), "{summary:?}");
    }
}

#[tokio::test]
async fn the_fault_proxy_explains_itself_and_what_is_wrong_with_its_options() {
    let output = |options: &[&str]| {
        let mut command = example("fault-proxy");
        let output = command.args(options).output();
        async { soon(output).await.unwrap() }
    };
    let help = output(&["--help"]).await;
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    for (options, error) in [
        (&[][..], "--upstream is missing"),
        (&["--upstream"], "--upstream needs a value"),
        (&["--lag", "1"], "there is no option --lag"),
        (
            &["--listen", "x"],
            "--listen needs an address like 127.0.0.1:4000, not \"x\"",
        ),
        (&["--seed", "-1"], "--seed needs a number, not \"-1\""),
        (
            &["--latency", "5"],
            "--latency needs a time like 50ms, not \"5\"",
        ),
        (
            &["--slow-close", "99999999999999999999s"],
            "--slow-close needs a time like 50ms",
        ),
        (
            &["--timeout", "999999999999999999m"],
            "--timeout needs a time like 50ms",
        ),
        (&["--bandwidth", "0"], "--bandwidth must be at least 1"),
        (&["--slice", "0k"], "--slice must be at least 1"),
        (
            &["--reset-after", "1G"],
            "--reset-after needs a number of bytes like 64k",
        ),
        (
            &["--close-after", ""],
            "--close-after needs a number of bytes like 64k",
        ),
        (
            &["--stall-after", "99999999999999M"],
            "--stall-after needs a number of bytes",
        ),
        (
            &["--latency", "5ms", "--jitter", "1s"],
            "--jitter 1s is longer than --latency 5ms",
        ),
    ] {
        let failed = output(options).await;
        let stderr = String::from_utf8(failed.stderr).unwrap();
        assert_eq!(failed.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(error), "{stderr}");
        let known = options.first().filter(|option| **option != "--lag");
        assert!(known.is_none_or(|option| help.contains(option)), "{help}");
    }
}

#[tokio::test]
async fn the_fault_proxy_says_which_address_it_cannot_use() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for (options, error) in [
        (
            ["--listen", &addr, "--upstream", &addr],
            format!("cannot listen on {addr}: "),
        ),
        (
            ["--listen", "127.0.0.1:0", "--upstream", "no-port"],
            "no address no-port: ".into(),
        ),
    ] {
        let failed = soon(example("fault-proxy").args(options).output())
            .await
            .unwrap();
        assert_eq!(failed.status.code(), Some(1));
        let stderr = String::from_utf8(failed.stderr).unwrap();
        assert!(stderr.contains(&error), "{stderr}");
    }
}
