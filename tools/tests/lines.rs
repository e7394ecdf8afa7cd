//! The recipe `lines` with a real `socat` and a real `nc`, killed while they send a
//! file, and what happens to lines without it.
#![cfg(target_os = "linux")]

use std::collections::VecDeque;
use std::fmt::Write;
use std::fs;
use std::future::ready;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use reconnecting_stream::{Backoff, Policy, ReconnectingFramed, ReconnectingStream, Seam};
use reconnecting_stream_tools::lines::connect;
use reconnecting_stream_tools::program::{Program, are_installed, free_port, tell};
use tokio::io::{AsyncWriteExt, duplex};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::codec::{Framed, LinesCodec};

const DEADLINE: Duration = Duration::from_secs(60);
/// So many that a file of them does not fit into the buffers between the server and its client.
const LINES: u32 = 50_000;
const KILLS: u32 = 10;

fn quick() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(Duration::from_millis(2)))
        .max_attempts(None)
        .stable_after(Duration::ZERO)
}

/// Of a length that no block of a file is a multiple of.
fn line(number: u32) -> String {
    format!("{number:07} {}", "blah ".repeat(18))
}

fn write_file(path: &Path) {
    let mut text = String::new();
    for number in 0..LINES {
        writeln!(text, "{}", line(number)).unwrap();
    }
    fs::write(path, text).unwrap();
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Got {
    received: u32,
    missing: u32,
    twice: u32,
    torn: u32,
}

impl Got {
    /// Takes a line; the number of the next one that has not come yet.
    fn count(&mut self, arrived: &str, next: u32) -> u32 {
        self.received += 1;
        let number = arrived.split(' ').next().and_then(|word| word.parse().ok());
        let Some(number) = number.filter(|number| arrived == line(*number)) else {
            self.torn += 1;
            return next;
        };
        self.missing += number.saturating_sub(next);
        self.twice += u32::from(number < next);
        next.max(number + 1)
    }
}

/// Kills a server after some lines of each connection.
#[derive(Default)]
struct Killer {
    kills: u32,
    /// Lines of this connection.
    lines: u32,
}

impl Killer {
    /// A line has come from a connection. What the kernel has of the next ones still arrives, up
    /// to the middle of one.
    fn line(&mut self, generation: u64, server: &mut Program) {
        let is_new = generation == u64::from(self.kills) + 1;
        self.lines += u32::from(is_new);
        if is_new && self.kills < KILLS && self.lines >= 500 {
            server.restart();
            self.kills += 1;
            self.lines = 0;
        }
    }
}

/// Reads from a server that is killed `KILLS` times, and then left to finish.
async fn read_from(mut server: Program) -> (Got, u64) {
    let mut lines = connect(server.address(), quick()).await.unwrap();
    let (mut got, mut next, mut killer) = (Got::default(), 0, Killer::default());
    while next < LINES || killer.kills < KILLS {
        let arrived = timeout(DEADLINE, lines.next()).await.expect("it hangs");
        next = got.count(&arrived.unwrap(), next);
        killer.line(lines.generation(), &mut server);
    }
    (got, lines.generation())
}

/// Sends a file from its beginning on each connection.
fn socat(path: &Path) -> Program {
    let port = free_port();
    // A small buffer, so that a kill soon shows.
    let listen = format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,sndbuf=16384");
    let open = format!("OPEN:{}", path.display());
    Program::start("socat", port, ["-U", &listen, &open])
}

#[tokio::test]
async fn no_line_is_torn_when_socat_is_killed() {
    if !are_installed(&["socat"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines");
    write_file(&path);
    let (got, connections) = read_from(socat(&path)).await;
    tell(format_args!(
        "socat: {LINES} lines, {got:?}, {connections} connections, {KILLS} kills"
    ));
    assert_eq!((got.torn, got.missing), (0, 0));
    assert!(connections > u64::from(KILLS) && got.twice > 0, "{got:?}");
}

#[tokio::test]
async fn no_line_is_torn_when_nc_is_killed() {
    if !are_installed(&["nc", "sh"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines");
    write_file(&path);
    let port = free_port();
    let script = format!(
        "while true; do nc -l -N -O 16384 127.0.0.1 {port} < {}; done",
        path.display()
    );
    let server = Program::start("sh", port, ["-c", &script]);
    let (got, connections) = read_from(server).await;
    tell(format_args!(
        "nc: {LINES} lines, {got:?}, {connections} connections, {KILLS} kills"
    ));
    assert_eq!((got.torn, got.missing), (0, 0));
    assert!(connections > u64::from(KILLS) && got.twice > 0, "{got:?}");
}

/// The control: the same kills, and a codec that lives on across the seam.
#[tokio::test]
async fn a_plain_framed_tears_lines_when_socat_is_killed() {
    if !are_installed(&["socat"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines");
    write_file(&path);
    let mut server = socat(&path);
    let address = server.address();
    let stream = ReconnectingStream::builder(move || TcpStream::connect(address))
        .policy(quick())
        .lazy();
    let mut lines = Framed::new(stream, LinesCodec::new());
    let (mut got, mut next, mut killer) = (Got::default(), 0, Killer::default());
    while lines.get_ref().generation() <= u64::from(KILLS) {
        let arrived = timeout(DEADLINE, lines.next()).await.expect("it hangs");
        next = got.count(&arrived.unwrap().unwrap(), next);
        killer.line(lines.get_ref().generation(), &mut server);
    }
    tell(format_args!("control: {got:?}, {KILLS} kills"));
    assert!(got.torn > 0);
}

/// The control, cut where the test wants it.
#[tokio::test(start_paused = true)]
async fn half_a_line_is_joined_to_another_one_by_a_plain_framed_and_dropped_by_the_recipe() {
    for is_plain in [true, false] {
        // The first connection ends in the middle of a line, the second one stays open.
        let mut servers = VecDeque::from([&b"buy 1\nbuy 2\nbuy 3"[..], b"buy 1\nbuy 2\n"]);
        let mut open = Vec::new();
        let connector = move || {
            let (near, mut far) = duplex(64);
            let sent = servers.pop_front().unwrap();
            assert!(far.write_all(sent).now_or_never().unwrap().is_ok());
            if servers.is_empty() {
                open.push(far);
            }
            ready(Ok::<_, io::Error>(near))
        };
        let mut lines = Vec::new();
        if is_plain {
            let stream = ReconnectingStream::builder(connector)
                .seam(Seam::Hidden)
                .lazy();
            let framed = Framed::new(stream, LinesCodec::new());
            lines.extend(framed.take(4).collect::<Vec<_>>().await);
        } else {
            let framed = ReconnectingFramed::builder(connector, LinesCodec::new()).lazy();
            lines.extend(framed.take(4).collect::<Vec<_>>().await);
        }
        let lines: Vec<_> = lines.into_iter().map(Result::unwrap).collect();
        let third = if is_plain { "buy 3buy 1" } else { "buy 1" };
        assert_eq!(lines, ["buy 1", "buy 2", third, "buy 2"]);
    }
}
