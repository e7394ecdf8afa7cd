//! Real servers, in processes that a test starts, stops and kills.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where it is set, a program that is missing fails the test that wants it.
const REQUIRED: &str = "REQUIRE_PROGRAMS";

/// Long enough for a busy machine; nothing waits for it unless it fails.
const DEADLINE: Duration = Duration::from_secs(30);

/// Returns whether the programs that a test needs are installed. If not, it prints that the test
/// is skipped, past the capture of its output. Under `REQUIRE_PROGRAMS=1` it fails.
pub fn are_installed(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &&str| std::env::split_paths(&path).any(|p| p.join(program).is_file());
    let missing: Vec<_> = programs.iter().filter(|name| !is_there(name)).collect();
    missing.is_empty() || skip(&format!("{missing:?} not on PATH"))
}

/// Prints that a test is skipped. Returns false.
pub fn skip(reason: &str) -> bool {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    assert!(std::env::var_os(REQUIRED).is_none(), "{test}: {reason}");
    tell(format_args!("SKIPPED {test}: {reason}"));
    false
}

/// Prints figures, or a reason, past the capture of a test's output.
pub fn tell(line: impl std::fmt::Display) {
    // Unlike what `eprintln!` prints, this is not captured.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Returns a port that is free at this moment.
///
/// The socket does not listen: a process that another test starts meanwhile shares it until its
/// `exec`, and `is_listening` would find it in place of the server.
pub fn free_port() -> u16 {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    // The server can bind the port although another process still shares the socket.
    socket.set_reuseaddr(true).unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    socket.local_addr().unwrap().port()
}

/// A real server on a loopback port, and the processes that it starts: a group of their own, that
/// is killed when the test ends, however it ends.
pub struct Program {
    command: Command,
    port: u16,
    child: Option<Child>,
}

impl Program {
    /// Starts `name` with these arguments, which make it listen on `port`, and waits until it
    /// does.
    pub fn start<A: AsRef<std::ffi::OsStr>>(
        name: &str,
        port: u16,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        let mut command = Command::new(name);
        command.args(args).stdin(Stdio::null());
        Self::from_command(command, port)
    }

    /// Starts what is described, with its standard streams; what it prints is thrown away.
    pub fn from_command(mut command: Command, port: u16) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.process_group(0);
        let mut program = Self {
            command,
            port,
            child: None,
        };
        program.restart();
        program
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Starts it again on its port, after it was killed if it still runs.
    pub fn restart(&mut self) {
        self.kill();
        let begun = Instant::now();
        // A worker that was killed with the server may listen for a moment longer.
        while is_listening(self.port) && begun.elapsed() < DEADLINE {
            std::thread::sleep(Duration::from_millis(1));
        }
        let child = self.child.insert(self.command.spawn().unwrap());
        let begun = Instant::now();
        while !is_listening(self.port) {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{:?}: {ended:?}", self.command);
            assert!(begun.elapsed() < DEADLINE, "{:?} is silent", self.command);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// `SIGKILL`, to its workers, too: their kernel closes the connections.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The group is gone already if all of it has ended by itself.
            let group = format!("-{}", child.id());
            let _ = Command::new("kill")
                .args(["-s", "KILL", "--", &group])
                .stderr(Stdio::null())
                .status();
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// `SIGHUP`: many servers read their configuration again.
    pub fn hang_up(&self) {
        self.signal("HUP");
    }

    /// `SIGSTOP`: its kernel still acknowledges what arrives.
    pub fn stop(&self) {
        self.signal("STOP");
    }

    /// `SIGCONT`.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// `SIGQUIT`, and waits until it has ended: postgres ends its workers first, which are in no
    /// group of its.
    pub fn quit(&mut self) {
        self.signal("QUIT");
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        let kill = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(kill.unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks the kernel, since a connection would be the first one that the server accepts.
fn is_listening(port: u16) -> bool {
    const LISTEN: &str = "0A";
    let port = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let table = fs::read_to_string(table).unwrap_or_default();
        table.lines().any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let local = fields.next().unwrap_or_default();
            local.ends_with(&port) && fields.nth(1) == Some(LISTEN)
        })
    })
}
