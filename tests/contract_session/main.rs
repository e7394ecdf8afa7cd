//! Sessions: `ResumableStream`, `ResumableListener`, `Sessions`.
#![cfg(all(feature = "net", feature = "session"))]

mod attacks;
mod basics;
mod endings;
mod support;
mod time;
mod transfer;
mod wire;
