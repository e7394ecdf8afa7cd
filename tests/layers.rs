//! The layers: `policy` is pure, and imports run one way.

use std::fs;
use std::path::{Path, PathBuf};

/// The code of every file below a folder of `src/`.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src")
        .join(folder);
    let mut files = Vec::new();
    collect(&folder, &mut files);
    assert!(!files.is_empty(), "{folder:?}");
    files
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            let code = without_tests(&fs::read_to_string(&path).unwrap());
            files.push((path, code));
        }
    }
}

/// The code of a file: no comments, nothing below its tests.
fn without_tests(source: &str) -> String {
    let code = source
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn assert_free_of(folder: &str, words: &[&str]) {
    for (path, code) in sources(folder) {
        for word in words {
            assert!(!code.contains(word), "{} has {word}", path.display());
        }
    }
}

#[test]
fn policy_knows_neither_tokio_nor_a_clock_nor_chance() {
    assert_free_of(
        "policy",
        &[
            "tokio",
            "Instant::now",
            "SystemTime",
            "elapsed()",
            "fastrand",
            "thread",
            "async",
        ],
    );
}

#[test]
fn only_one_file_of_the_link_reads_the_clock() {
    for (path, code) in sources("link") {
        let reads = code.contains("Instant::now") || code.contains("elapsed()");
        assert_eq!(reads, path.ends_with("clock.rs"), "{}", path.display());
    }
    assert_free_of("stream", &["Instant::now", "elapsed()"]);
    assert_free_of("connect", &["Instant::now", "elapsed()"]);
}

#[test]
fn imports_run_one_way() {
    assert_free_of(
        "connect",
        &["crate::policy", "crate::link", "crate::stream"],
    );
    assert_free_of(
        "policy",
        &["crate::connect", "crate::link", "crate::stream"],
    );
    assert_free_of("link", &["crate::stream"]);
}

#[test]
fn the_link_knows_nothing_of_bytes() {
    assert_free_of("link", &["AsyncRead", "AsyncWrite", "ReadBuf", "IoSlice"]);
}

#[test]
fn metrics_are_nobodys_business_but_an_observers() {
    for folder in ["connect", "framed", "link", "policy", "stream"] {
        assert_free_of(folder, &["metrics"]);
    }
}
