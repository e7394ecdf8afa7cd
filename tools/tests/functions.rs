//! How many functions of the crate a read passes through, counted by `valgrind` in this debug
//! build, where nothing is inlined.
//!
//! Closures count as part of their function. What `pin_project` and `derive` generate, and `Deref`,
//! do not count.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::process::Command;
use std::task::Poll;
use std::{env, fs};

use reconnecting_stream::{Connect, ReconnectingStream};
use reconnecting_stream_tools::program::{are_installed, tell};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::runtime::Builder;
use tokio_test::io::{Builder as Script, Mock};

/// Tells this test that it is the process in which one part of the reads is counted.
const COUNTED: &str = "COUNTED_READ";

/// The parts: a read that has a byte, one that meets a reset and waits for the backoff, and the
/// same one from the end of the backoff to a byte of the next connection. With each, the most
/// functions and files.
const PARTS: [(&str, usize, usize); 3] = [("ready", 5, 5), ("reset", 60, 12), ("return", 55, 13)];

#[test]
fn a_read_passes_through_few_functions_and_files() {
    if let Ok(part) = env::var(COUNTED) {
        return read_thrice(&part);
    }
    if !are_installed(&["valgrind"]) {
        return;
    }
    let mut exceeded = Vec::new();
    for (part, most_functions, most_files) in PARTS {
        let functions = functions_of(part);
        if functions.is_empty() {
            return tell("SKIPPED: this build has no debug information");
        }
        let files = functions
            .iter()
            .map(|(file, _)| file)
            .collect::<BTreeSet<_>>();
        let figures = format!(
            "{part}: {} functions in {} files",
            functions.len(),
            files.len()
        );
        tell(&figures);
        if env::var_os("LIST_FUNCTIONS").is_some() {
            functions
                .iter()
                .for_each(|(file, function)| tell(format!("  {file} {function}")));
        }
        if functions.len() > most_functions || files.len() > most_files {
            exceeded.push(figures);
        }
    }
    assert!(exceeded.is_empty(), "more than expected: {exceeded:?}");
}

/// What is counted is what this function calls.
#[inline(never)]
fn measured<T>(run: impl FnOnce() -> T) -> T {
    run()
}

fn run<T>(is_counted: bool, run: impl FnOnce() -> T) -> T {
    if is_counted { measured(run) } else { run() }
}

/// Reads a byte, meets a reset, and reads a byte of the next connection. Counts one of the three.
fn read_thrice(part: &str) {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let mut last = Script::new().read(b"b").build();
    let mut first = Script::new()
        .read(b"a")
        .read_error(ErrorKind::ConnectionReset.into())
        .build();
    let connector = move || {
        let next = Script::new().build();
        let io = std::mem::replace(&mut first, std::mem::replace(&mut last, next));
        async move { Ok::<_, io::Error>(io) }
    };
    let connect = ReconnectingStream::connect(connector);
    let mut stream = runtime.block_on(connect).unwrap();

    let ready = run(part == "ready", || runtime.block_on(poll_read(&mut stream)));
    assert!(ready.is_ready(), "a byte has arrived");
    let reset = run(part == "reset", || runtime.block_on(poll_read(&mut stream)));
    assert!(reset.is_pending(), "the backoff has begun");
    let byte = run(part == "return", || runtime.block_on(stream.read_u8()));
    assert_eq!(byte.unwrap(), b'b');
}

/// Polls a read once.
async fn poll_read<C: Connect<Io = Mock>>(
    stream: &mut ReconnectingStream<C>,
) -> Poll<io::Result<()>> {
    let mut byte = [0];
    let mut buf = ReadBuf::new(&mut byte);
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_read(cx, &mut buf))).await
}

/// Returns the functions of the crate that one part of the reads calls, each with its file.
fn functions_of(part: &str) -> BTreeSet<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("callgrind");
    let status = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--compress-strings=no"])
        .arg("--toggle-collect=functions::measured")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe().unwrap())
        .arg("--quiet")
        .env(COUNTED, part)
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
    functions(&fs::read_to_string(out).unwrap())
}

/// The functions of the crate in a file of callgrind: a line `fl=` with the source, and `fn=`.
fn functions(counted: &str) -> BTreeSet<(String, String)> {
    let src = format!(
        "{}/src/",
        env!("CARGO_MANIFEST_DIR").trim_end_matches("/tools")
    );
    let mut file = None;
    let mut found = BTreeSet::new();
    for line in counted.lines() {
        if let Some(source) = line.strip_prefix("fl=") {
            file = source.strip_prefix(&src);
        } else if let (Some(name), Some(file)) = (line.strip_prefix("fn="), file) {
            // A call of itself has a number behind an apostrophe.
            let name = name.split("::{{closure}}").next().unwrap();
            let name = name.split('\'').next().unwrap();
            let is_generated = name.contains("::_::") || name.contains(" as core::");
            if !is_generated {
                found.insert((file.to_owned(), name.to_owned()));
            }
        }
    }
    found
}
