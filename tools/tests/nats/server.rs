//! A real nats-server.

use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;

use reconnecting_stream_tools::program::Program;
use reconnecting_stream_tools::program::free_port;

pub(crate) struct Server {
    program: Program,
    _folder: TempDir,
}

impl Server {
    /// It pings idle clients often. It does not end a connection whose answers are late, as they
    /// are on a busy machine.
    pub(crate) fn start() -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nats.conf");
        let config =
            format!("listen: 127.0.0.1:{port}\nping_interval: \"20ms\"\nping_max: 1000000\n");
        fs::write(&path, config).unwrap();
        let args = ["-c".as_ref(), path.as_os_str()];
        Self {
            program: Program::start("nats-server", port, args),
            _folder: folder,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.program.address()
    }
}
