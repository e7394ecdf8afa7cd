//! What the recipes, the soak, the tests against real programs and the benches of this package
//! share.
//!
//! This package is not published. Only its own bins, tests and benches use this library, so not
//! every item has docs, and none has sections about errors and panics.
#![allow(
    missing_debug_implementations,
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate
)]

pub mod certificates;
pub mod http;
pub mod lab;
pub mod lines;
pub mod numbered;
#[cfg(unix)]
pub mod program;
pub mod proxy;
#[cfg(unix)]
pub mod resets;
pub mod soon;
pub mod turn;
pub mod websocket;
