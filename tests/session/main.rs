//! Sessions: `ResumableStream`, `ResumableListener`, `Sessions`.
#![cfg(all(feature = "net", feature = "session"))]

mod basics;
mod endings;
mod faults;
mod limits;
mod losses;
mod panics;
mod support;
