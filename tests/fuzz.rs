//! Random histories against the contract: see `rig/mod.rs`.
//!
//! `FUZZ_HISTORIES=100000` runs more of them, `FUZZ_SEED=1` repeats one, `FUZZ_FIRST=5000` begins
//! later, `FUZZ_SURVEY=1` goes on after failures and lists their classes.
#![cfg(feature = "codec")]

mod rig;

#[test]
fn random_histories_of_messages_keep_the_contract() {
    rig::run::run(
        "random_histories_of_messages_keep_the_contract",
        3_000,
        rig::messages::history,
    );
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
