use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// `cargo test` builds the examples beside the folder of the tests.
pub fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let path: PathBuf = profile.join("examples").join(file);
    assert!(
        path.is_file(),
        "{} does not exist: `cargo build --examples` makes it",
        path.display()
    );
    let mut command = Command::new(path);
    command.kill_on_drop(true);
    command
}
