//! Random histories, checked against the contract alone: see `rig/mod.rs`.
//!
//! Each history derives from a seed, so it can be repeated. By hand, in release:
//!
//! ```text
//! cargo test --release --all-features --test fuzz of_messages -- --nocapture
//! ```
//!
//! - `FUZZ_HISTORIES=1000000` sets how many histories there are, `FUZZ_FIRST=5000` where they
//!   begin.
//! - `FUZZ_SEED=1` repeats one history and prints what happens in it.
//! - `FUZZ_SURVEY=1` continues after failures and prints each class of them with its number and
//!   the seed of its shortest history. The class is the first word of a failure.
//!
//! At the end a run prints what it has counted: histories, steps (of tasks, the peer, commands and
//! time), operations on connections, attempts, connections, losses (every connection that was
//! dropped, at the end of a history too), items, messages, and how often what is rare was reached:
//! messages and bytes that a bound has dropped, losses by an idle timeout, errors that were classified,
//! outages that were given up, closes that were called again after that, and observers that
//! panicked. Histories with a second thread can't be repeated exactly.
#![cfg(feature = "codec")]

mod rig;

#[test]
fn random_histories_of_messages_keep_the_contract() {
    let stats = rig::run::run(
        "random_histories_of_messages_keep_the_contract",
        3_000,
        rig::messages::history,
    );
    let Some(stats) = stats.filter(|stats| stats.histories >= 3_000) else {
        return;
    };
    // What is never reached is not checked.
    let rare = [
        stats.dropped,
        stats.dropped_bytes,
        stats.idle_losses,
        stats.classified,
        stats.gave_up,
        stats.closed_again,
        stats.observer_panics,
    ];
    assert!(rare.iter().all(|count| *count > 0), "{stats:?}");
}

#[test]
fn random_histories_with_a_second_thread_keep_the_contract() {
    let injector = rig::threads::Injector::new();
    rig::run::run(
        "random_histories_with_a_second_thread_keep_the_contract",
        300,
        |seed| rig::threads::history(seed, &injector),
    );
}

#[test]
fn random_histories_of_bytes_keep_the_contract() {
    rig::run::run(
        "random_histories_of_bytes_keep_the_contract",
        3_000,
        rig::bytes::history,
    );
}
