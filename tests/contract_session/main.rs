//! Sessions: `ResumableStream`, `ResumableListener`, `Sessions`.
#![cfg(all(feature = "net", feature = "session"))]

#[cfg(all(feature = "codec", feature = "testing"))]
mod adapters;
mod attacks;
mod basics;
mod busy;
mod cancelled;
mod drops;
mod endings;
mod foreign_client;
mod foreign_server;
mod histories;
mod http;
mod kept;
mod limits;
mod panics;
mod progress;
mod resets;
mod shutdown;
mod silence;
mod support;
#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../support/task.rs"]
mod task;
mod time;
mod transfer;
mod unproven;
mod versions;
mod wire;
