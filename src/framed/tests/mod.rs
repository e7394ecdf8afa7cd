//! Unit and property tests of the pure core.
//!
//! They are not in the files that they check, because `tests/wakers_loom.rs` compiles two of those
//! a second time.

mod batches;
mod confirms;
mod core;
mod messages;
mod messages_model;
mod recv_errors;
mod recv_limits;
mod recv_queue;
mod recv_random;
mod replies;
mod send_buffer;
mod send_random;
mod send_room;

use std::io::{self, ErrorKind};
use std::sync::Arc;

use proptest::test_runner::Config;

use crate::error::ConnectionLost;

fn lost(generation: u64) -> ConnectionLost {
    ConnectionLost {
        generation,
        cause: Arc::new(io::Error::from(ErrorKind::ConnectionReset)),
        dropped_bytes: 0,
    }
}

/// A failure prints its steps, which are enough to repeat it. `PROPTEST_CASES` asks for more.
fn config() -> Config {
    Config {
        failure_persistence: None,
        ..Config::default()
    }
}
