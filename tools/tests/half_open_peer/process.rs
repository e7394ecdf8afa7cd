//! A process in a namespace: the test itself, run again.

use std::env;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Says what a process in a namespace has to do.
pub(crate) const ROLE: &str = "RECONNECTING_STREAM_TEST_ROLE";

/// A process in a namespace.
pub(crate) struct Process {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Runs this test again, with a role.
    pub(crate) fn start(test: &str, namespace: &str, role: &str) -> Self {
        let mut child = Command::new("ip")
            .args(["netns", "exec", namespace])
            .arg(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdout: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    /// What it says after this word, the next time that it says it.
    pub(crate) fn says(&mut self, word: &str) -> String {
        let word = format!("<{word}> ");
        let mut said = self.stdout.by_ref().map(Result::unwrap);
        let line = said.find_map(|line| Some(line.split_once(&word)?.1.to_owned()));
        line.unwrap_or_else(|| panic!("it ended without {word}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
