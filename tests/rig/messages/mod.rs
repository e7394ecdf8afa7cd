//! Random histories of a `ReconnectingFramed`.

mod checks;
mod client;
mod halves;
mod handshake;
mod harness;
mod newer;
mod outcomes;
mod plan;
mod steps;
mod teardown;

pub use client::Client;
pub use plan::Plan;

use std::time::Duration;

use tokio::time::advance;

use super::random::Random;
use super::run::Failure;
use super::settings::Stats;

pub const BACKOFF: Duration = Duration::from_millis(10);

/// Runs the history of a seed to its end.
pub async fn history(seed: u64) -> Result<Stats, Failure> {
    let mut random = Random::new(seed);
    let plan = Plan::of(&mut random);
    let mut client = Client::new(plan, random);
    let steps = 20 + client.random.below(60);
    for _ in 0..steps {
        client.step().await;
        client.check()?;
    }
    client.tear_down().await?;
    Ok(client.stats())
}

/// Lets time pass.
pub async fn pass(ms: u64) {
    advance(Duration::from_millis(ms)).await;
}
