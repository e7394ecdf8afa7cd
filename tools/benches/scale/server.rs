//! The server, in a process of its own.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener as BlockingListener};
use std::process::{Child, Command, Stdio};

use tokio::net::TcpListener;
use tokio::runtime;

const READY: &str = "ready";

/// A server that can be killed.
pub(crate) struct Server {
    process: Child,
}

impl Server {
    pub(crate) fn start(address: SocketAddr) -> io::Result<Self> {
        let mut process = Command::new(env::current_exe()?)
            .args(["server", &address.port().to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        match said.trim() {
            READY => Ok(Self { process }),
            _ => Err(io::Error::other("the server did not start")),
        }
    }

    pub(crate) fn kill(mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

/// A free address whose port the kernel gives to no client: one that dials a dead server there
/// could be given the same port, and would connect to itself.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let lowest = range.split_whitespace().next();
    let lowest: u16 = lowest.and_then(|port| port.parse().ok()).unwrap_or(32_768);
    (1024..lowest)
        .rev()
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .find(|address| BlockingListener::bind(address).is_ok())
        .ok_or_else(|| io::Error::other("no port is free"))
}

/// Accepts, and keeps what it has accepted.
pub(crate) fn serve(port: &str) -> Result<(), String> {
    let accept = async {
        let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
        println!("{READY}");
        let mut kept = Vec::new();
        loop {
            kept.push(listener.accept().await?);
        }
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let served: io::Result<()> = runtime.and_then(|runtime| runtime.block_on(accept));
    served.map_err(|error| error.to_string())
}
