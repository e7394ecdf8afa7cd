//! What the tests with real client libraries share, to copy from.
//!
//! This package is not published, and no other package depends on it: its libraries are large.
#![allow(
    missing_debug_implementations,
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate
)]

pub mod connector;
pub mod policy;
pub mod tally;
pub mod tarpc;
