//! Random histories of a `ReconnectingStream`.

mod checks;
mod client;
mod halves;
mod steps;

use super::random::Random;
use super::run::Failure;
use super::settings::Stats;
use client::Client;

/// Runs the history of a seed to its end.
pub async fn history(seed: u64) -> Result<Stats, Failure> {
    let mut client = Client::new(Random::new(seed));
    let steps = 20 + client.random.below(60);
    for _ in 0..steps {
        client.step().await;
        client.check()?;
    }
    client.tear_down().await?;
    Ok(client.stats())
}
