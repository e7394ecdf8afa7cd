//! A postgres with a new database, as a user that is not root.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use reconnecting_stream_tools::program::{Program, free_port, skip};
use tempfile::TempDir;

/// Where Debian has the programs: one folder for each version, none of them on the path.
const VERSIONS: &str = "/usr/lib/postgresql";

/// A server, and the folder of its data, which is removed after it has ended.
pub(crate) struct Postgres {
    program: Program,
    _folder: TempDir,
}

impl Postgres {
    /// Starts a server. Returns `None` if the test is skipped, because none is installed.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            skip("no PostgreSQL on PATH or in /usr/lib/postgresql");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let data = folder.path().join("data");
        let mut initdb = unprivileged(&programs.join("initdb"));
        initdb.args(["-A", "trust", "-N", "-U", "postgres", "-D"]);
        let initialized = initdb.arg(&data).output().unwrap();
        assert!(initialized.status.success(), "{initialized:?}");

        let port = free_port();
        let mut postgres = unprivileged(&programs.join("postgres"));
        postgres.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-D"]);
        postgres.arg(&data).arg("-k").arg(&data);
        Some(Self {
            program: Program::from_command(postgres, port),
            _folder: folder,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.program.address()
    }

    /// Ends the server without warning its clients, and starts it again.
    pub(crate) fn restart(&mut self) {
        self.program.quit();
        self.program.restart();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.program.quit();
    }
}

/// Returns the folder of `initdb` and `postgres`: of the newest version, if there are several.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    let mut versions: Vec<_> = fs::read_dir(VERSIONS).into_iter().flatten().collect();
    versions.sort_by_key(|version| version.as_ref().ok().map(fs::DirEntry::path));
    folders.extend(
        versions
            .into_iter()
            .rev()
            .flatten()
            .map(|v| v.path().join("bin")),
    );
    let has_both = |folder: &PathBuf| {
        ["initdb", "postgres"]
            .iter()
            .all(|p| folder.join(p).is_file())
    };
    folders.into_iter().find(has_both)
}

/// Returns a command that runs as `postgres` if this process runs as root, which the server
/// refuses.
fn unprivileged(program: &Path) -> Command {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout != b"0\n" {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
        "--",
    ]);
    command.arg(program);
    command.current_dir("/");
    command
}
