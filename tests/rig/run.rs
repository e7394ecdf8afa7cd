//! Many histories, each from its seed.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::future::Future;
use std::io::Write;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::task::unconstrained;

use super::random::Random;
use super::settings::Stats;

/// A sentence of the contract that did not hold.
#[derive(Debug)]
pub struct Failure {
    pub why: String,
    pub context: String,
    /// How many operations its history had.
    pub size: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.why, self.context)
    }
}

/// Tells on standard error what happens, while the history of one seed is repeated.
pub fn trace(what: impl FnOnce() -> String) {
    static IS_ON: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    if *IS_ON.get_or_init(|| env::var_os("FUZZ_SEED").is_some()) {
        eprintln!("{}", what());
    }
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

/// Runs `FUZZ_HISTORIES` histories (or `default`), or only that of `FUZZ_SEED`. Failures are
/// printed with the command that repeats them; with `FUZZ_SURVEY` each class of them once.
///
/// Returns what was counted, unless only one history was repeated.
pub fn run<F>(name: &str, default: u64, history: impl Fn(u64) -> F) -> Option<Stats>
where
    F: Future<Output = Result<Stats, Failure>>,
{
    if let Some(seed) = number("FUZZ_SEED") {
        if let Err(failure) = runtime().block_on(unconstrained(history(seed))) {
            panic!("seed {seed}: {failure}");
        }
        return None;
    }
    let histories = number("FUZZ_HISTORIES").unwrap_or(default);
    let first = number("FUZZ_FIRST").unwrap_or(0);
    let survey = env::var_os("FUZZ_SURVEY").is_some();
    let (began, mut stats, mut found) = (Instant::now(), Stats::default(), Vec::new());
    let runtime = runtime();
    for n in first..first + histories {
        let seed = Random::new(n).next();
        match runtime.block_on(unconstrained(history(seed))) {
            Ok(more) => stats.add(&more),
            Err(failure) if survey => found.push((failure.size, seed, failure.why)),
            Err(failure) => panic!(
                "history {n}: {failure}\nto repeat: FUZZ_SEED={seed} cargo test --all-features \
                 --test fuzz {name} -- --nocapture"
            ),
        }
    }
    report(name, &stats, began.elapsed());
    if !found.is_empty() {
        classify(name, &mut found);
    }
    Some(stats)
}

fn report(name: &str, stats: &Stats, took: Duration) {
    let each_second = stats.histories as f64 / took.as_secs_f64();
    let line = format!("{name}: {each_second:.0} histories a second: {stats:?} in {took:?}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Prints each class of failures with its number and the seed of its shortest history.
fn classify(name: &str, found: &mut [(u64, u64, String)]) {
    let mut classes: BTreeMap<&str, (usize, u64, &str)> = BTreeMap::new();
    found.sort();
    for (_, seed, why) in found.iter() {
        let class = why.split(':').next().unwrap();
        classes.entry(class).or_insert((0, *seed, why)).0 += 1;
    }
    for (class, (count, seed, why)) in &classes {
        eprintln!("{count:>8} {class}, seed {seed}: {why}");
    }
    panic!(
        "{name}: {} failures in {} classes",
        found.len(),
        classes.len()
    );
}
