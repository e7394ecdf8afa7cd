//! Sessions: `ResumableStream`, `ResumableListener`, `Sessions`.
#![cfg(all(feature = "net", feature = "session"))]

mod basics;
