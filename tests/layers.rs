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
        let name = path.file_stem().unwrap().to_str().unwrap();
        if name.ends_with("tests") {
            // They may import what they test.
        } else if path.is_dir() {
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
        assert_eq!(first_of(words, &code), None, "{}", path.display());
    }
}

/// Returns the first of these words that the code contains.
fn first_of<'a>(words: &[&'a str], code: &str) -> Option<&'a str> {
    words.iter().copied().find(|word| code.contains(word))
}

#[test]
fn the_protocol_of_sessions_uses_neither_tokio_nor_a_clock_nor_randomness() {
    let words = [
        "tokio",
        "Instant::now",
        "SystemTime",
        "elapsed()",
        "fastrand",
        "getrandom",
        "async",
    ];
    assert_free_of("session/protocol", &words);
}

#[test]
fn policy_uses_neither_tokio_nor_a_clock_nor_randomness() {
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
fn only_the_file_of_the_timer_reads_the_clock() {
    for folder in ["connect", "framed", "link", "stream", "transfer"] {
        assert_free_of(folder, &["Instant::now", "elapsed()"]);
    }
}

#[test]
fn only_one_file_of_the_sessions_reads_the_clock() {
    for (path, code) in sources("session") {
        let reads = code.contains("Instant::now()") || code.contains("elapsed()");
        assert_eq!(reads, path.ends_with("timer.rs"), "{}", path.display());
    }
}

/// Every folder and file of `src/`, and which others it may import.
const LAYERS: &[(&str, &[&str])] = &[
    ("sync", &[]),
    ("seam", &[]),
    ("timer", &[]),
    ("tls_error", &[]),
    ("error", &[]),
    ("policy", &["error", "tls_error"]),
    ("connect", &["error", "timer", "tls_error"]),
    (
        "link",
        &["connect", "error", "policy", "seam", "sync", "timer"],
    ),
    ("builder", &["link", "policy", "seam"]),
    (
        "transfer",
        &["connect", "error", "link", "policy", "seam", "sync"],
    ),
    (
        "stream",
        &[
            "builder", "connect", "error", "link", "policy", "sync", "transfer",
        ],
    ),
    (
        "framed",
        &[
            "builder", "connect", "error", "link", "policy", "seam", "sync", "transfer",
        ],
    ),
    (
        "reconnecting",
        &["builder", "connect", "link", "sync", "transfer"],
    ),
    ("metrics", &["link"]),
    (
        "session",
        &["connect", "error", "link", "policy", "seam", "timer"],
    ),
    ("testing", &[]),
    ("docs", &["*"]),
    ("lib", &["*"]),
];

/// What the code of a file imports from the crate. Links of documentation are no imports.
fn imports(code: &str) -> impl Iterator<Item = &str> {
    let lines = code.lines().filter(|line| !line.contains("doc = "));
    lines
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            &rest[..end.unwrap_or(rest.len())]
        })
}

/// Returns the first import that the table does not allow.
fn forbidden(layer: &str, code: &str) -> Option<String> {
    let (_, allowed) = LAYERS.iter().find(|(name, _)| *name == layer)?;
    let is_allowed = |import: &str| import == layer || allowed.contains(&import);
    imports(code)
        .find(|import| !allowed.contains(&"*") && !is_allowed(import))
        .map(|import| format!("{layer} imports {import}"))
}

#[test]
fn imports_run_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = Vec::new();
    for entry in fs::read_dir(src).unwrap() {
        let path = entry.unwrap().path();
        let layer = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(
            LAYERS.iter().any(|(name, _)| *name == layer),
            "{layer} is not in the table"
        );
        let mut files = Vec::new();
        if path.is_dir() {
            collect(&path, &mut files);
        } else {
            let code = without_tests(&fs::read_to_string(&path).unwrap());
            files.push((path, code));
        }
        for (path, code) in files {
            assert_eq!(forbidden(&layer, &code), None, "{}", path.display());
        }
        seen.push(layer);
    }
    assert_eq!(
        seen.len(),
        LAYERS.len(),
        "the table names what is not there"
    );
}

#[test]
fn control_an_import_that_runs_back_is_found() {
    for (layer, code) in [
        ("link", "use crate::framed::Resend;"),
        ("error", "use crate::link::State;"),
        ("connect", "fn f(_: crate::policy::Policy) {}"),
        ("transfer", "use crate::stream::ReconnectingStream;"),
        ("policy", "use crate::builder::Builder;"),
    ] {
        assert!(forbidden(layer, code).is_some(), "{code}");
    }
    assert_eq!(forbidden("transfer", "use crate::link::Link;"), None);
}

/// Some 32-bit targets have no atomic integers of 64 bits: `std` has no such types there.
const ATOMICS_OF_64_BITS: [&str; 3] = ["AtomicU64", "AtomicI64", "atomic::*"];

#[test]
fn no_code_needs_atomics_of_64_bits() {
    assert_free_of("", &ATOMICS_OF_64_BITS);
}

#[test]
fn control_an_atomic_of_64_bits_is_found() {
    for code in [
        "use std::sync::atomic::{AtomicU64, Ordering};",
        "static COUNT: atomic::AtomicI64 = atomic::AtomicI64::new(0);",
        "use std::sync::atomic::*;",
    ] {
        assert!(first_of(&ATOMICS_OF_64_BITS, code).is_some(), "{code}");
    }
    assert_eq!(
        first_of(&ATOMICS_OF_64_BITS, "AtomicU32, AtomicUsize"),
        None
    );
}

#[test]
fn the_link_uses_no_traits_of_bytes() {
    assert_free_of("link", &["AsyncRead", "AsyncWrite", "ReadBuf", "IoSlice"]);
}

#[test]
fn only_an_observer_uses_the_metrics_facade() {
    for folder in ["connect", "framed", "link", "policy", "stream", "transfer"] {
        assert_free_of(folder, &["metrics"]);
    }
}
