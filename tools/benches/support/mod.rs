//! What the benches share: tables, spreads, charts, counted runs, and the streams that they
//! compare.
#![allow(dead_code, unreachable_pub, unused_imports)]

mod callgrind;
pub mod chart;
mod machine;
mod mock;
mod spread;
mod steady;
mod streams;
mod table;

use std::env;

pub use callgrind::{count, counted_arguments};
pub use machine::machine;
pub use mock::{HEADER, Mock, encoded};
pub use spread::Spread;
pub use steady::copy_steadily;
pub use streams::{Plain, Refuses, Retries, Slot, ours, stubborn, stubborn_by, tether};
pub use table::Table;

/// What the bench was asked for, without what Cargo adds.
pub fn arguments() -> Vec<String> {
    env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect()
}

/// Says so if there is nothing to measure, as with `cargo test --all-targets`.
pub fn is_debug_build() -> bool {
    if cfg!(debug_assertions) {
        eprintln!("nothing is measured in a debug build: use `cargo bench`");
    }
    cfg!(debug_assertions)
}
