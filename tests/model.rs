//! Random histories of a stream beside a reference model that is written from the contract.
//!
//! A case is a policy, a seam, a script of what attempts meet, and a history: polls of the reader,
//! the writer and a task that waits for a connection, each with a waker of its own; tasks dropped
//! in the middle; faults that are announced or found out; commands; and time. The model says what
//! every poll answers, where the stream is, which attempts are made when and what they are told,
//! and who has to have been woken. In the end the network heals, and both halves have to get
//! somewhere by nothing but their wakes.
//!
//! `PROPTEST_CASES` sets the number of cases per test, `PROPTEST_RNG_SEED` varies them.

#![allow(unreachable_pub)]

mod support;

#[path = "model/attempts.rs"]
mod attempts;
#[path = "model/connection.rs"]
mod connection;
#[path = "model/harness.rs"]
mod harness;
#[path = "model/losses.rs"]
mod losses;
#[path = "model/outcome.rs"]
mod outcome;
#[path = "model/plan.rs"]
mod plan;
#[path = "model/reference.rs"]
mod reference;
#[path = "model/regressions.rs"]
mod regressions;
#[path = "model/state.rs"]
mod state;
#[path = "model/teardown.rs"]
mod teardown;

use std::cell::Cell;
use std::env;
use std::panic;
use std::sync::Once;

use plan::Plan;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use reconnecting_stream::Seam;

#[test]
fn ten_thousand_histories_with_hidden_seams_are_as_the_model_says() {
    check(Seam::Hidden, 10_000);
}

#[test]
fn twelve_thousand_histories_with_seam_errors_are_as_the_model_says() {
    check(Seam::Error, 12_000);
}

#[test]
fn eight_thousand_histories_with_seam_ends_are_as_the_model_says() {
    check(Seam::Eof, 8_000);
}

fn check(seam: Seam, cases: u32) {
    let config = Config {
        cases: setting("PROPTEST_CASES").map_or(cases, |cases| u32::try_from(cases).unwrap()),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let cases = config.cases;
    let seed = seed_of(setting("PROPTEST_RNG_SEED").unwrap_or_default());
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &seed);
    let passed = Cell::new(0);
    let failure = without_panic_messages(|| {
        let mut runner = TestRunner::new_with_rng(config, rng);
        let outcome = runner.run(&plan::plans(seam), |plan| {
            run(&plan);
            passed.set(passed.get() + 1);
            Ok(())
        });
        outcome.err()
    });
    if let Some(failure) = failure {
        panic!("{failure}");
    }
    assert_eq!(passed.get(), cases);
}

fn run(plan: &Plan) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut harness = harness::begin(plan).await;
        for step in &plan.steps {
            harness.apply(*step).await;
        }
        teardown::heal(&mut harness).await;
        teardown::rest(&mut harness).await;
        teardown::drop_stream(harness);
    });
}

fn setting(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// Drawing a history is most of the work: the generator is a cheap one, whose seed is not zero.
fn seed_of(number: u64) -> [u8; 16] {
    let mut seed = [7; 16];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    seed
}

thread_local! {
    static IS_SILENCED: Cell<bool> = const { Cell::new(false) };
}

/// Scripted panics, and those of cases that are being shrunk, are not worth a line each.
fn without_panic_messages<T>(f: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_SILENCED.get() {
                usual(info);
            }
        }));
    });
    IS_SILENCED.set(true);
    let result = f();
    IS_SILENCED.set(false);
    result
}
