//! The server: one that runs already, or one that is started here and may be killed.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use redis_protocol::codec::Resp2;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_util::codec::Framed;

use crate::resp::ask;

const PROGRAM: &str = "redis-server";

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    own: Option<Own>,
}

/// Killed when it is dropped.
struct Own {
    child: Child,
    /// What it has acknowledged survives it.
    folder: TempDir,
}

impl Server {
    pub(crate) fn running(address: SocketAddr) -> Self {
        Self { address, own: None }
    }

    /// `None` if redis is not installed.
    pub(crate) async fn start() -> io::Result<Option<Self>> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let folder = TempDir::new()?;
        let child = match spawn(free, &folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            child => child?,
        };
        let own = Some(Own { child, folder });
        let server = Self { address: free, own };
        server.connect().await?;
        Ok(Some(server))
    }

    /// A plain connection, as soon as the server executes commands.
    pub(crate) async fn connect(&self) -> io::Result<Framed<TcpStream, Resp2>> {
        loop {
            match self.try_connect().await {
                Err(_) if self.own.is_some() => tokio::time::sleep(PAUSE).await,
                redis => return redis,
            }
        }
    }

    async fn try_connect(&self) -> io::Result<Framed<TcpStream, Resp2>> {
        let socket = TcpStream::connect(self.address).await?;
        let mut redis = Framed::new(socket, Resp2::default());
        ask(&mut redis, &["PING"]).await?;
        Ok(redis)
    }

    /// Kills and restarts a server that was started here. Returns false for another one.
    pub(crate) async fn kill_and_restart(&mut self) -> io::Result<bool> {
        let Some(own) = &mut self.own else {
            return Ok(false);
        };
        // SIGKILL, which it can't handle.
        own.child.kill().await?;
        own.child = spawn(self.address, &own.folder)?;
        Ok(true)
    }
}

const PAUSE: Duration = Duration::from_millis(10);

fn spawn(address: SocketAddr, folder: &TempDir) -> io::Result<Child> {
    Command::new(PROGRAM)
        .args(["--bind", "127.0.0.1", "--port"])
        .arg(address.port().to_string())
        .args([
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--dir",
        ])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}
