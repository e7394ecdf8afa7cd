//! The connector.

use std::future::{Future, pending};
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reconnecting_stream::{Attempt, Connect, Phase, Verdict};
use tokio::time::sleep;

use super::classify;
use super::harness::{Harness, Rig};
use super::run::trace;
use super::socket::Socket;

pub struct Connector(pub Arc<Rig>);

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Accepts,
    AcceptsAfter(u64),
    Refuses,
    Fails(Verdict),
    Hangs,
}

impl Harness {
    fn outcome(&mut self) -> Outcome {
        self.stats.attempts += 1;
        if !self.settings.faulty_attempts || self.is_healthy {
            return Outcome::Accepts;
        }
        match self.random.below(10) {
            1 => Outcome::Refuses,
            2 => Outcome::Hangs,
            3 | 4 => Outcome::AcceptsAfter(1 + self.random.below(30) as u64),
            5 if self.settings.has_classifier => {
                Outcome::Fails(self.random.pick(&classify::VERDICTS))
            }
            _ => Outcome::Accepts,
        }
    }
}

impl Connect for Connector {
    type Io = Socket;
    type Future = Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>;

    fn connect(&mut self, attempt: &Attempt) -> Self::Future {
        let (rig, generation) = (Arc::clone(&self.0), attempt.generation);
        let outcome = rig.harness().outcome();
        trace(|| format!("    attempt: {outcome:?}"));
        Box::pin(async move {
            match outcome {
                Outcome::Accepts => {}
                Outcome::AcceptsAfter(ms) => sleep(Duration::from_millis(ms)).await,
                Outcome::Refuses => return Err(ErrorKind::ConnectionRefused.into()),
                Outcome::Fails(verdict) => return Err(fail(&rig, verdict)),
                Outcome::Hangs => pending().await,
            }
            Ok(rig.accept(generation))
        })
    }
}

fn fail(rig: &Arc<Rig>, verdict: Verdict) -> io::Error {
    let mut harness = rig.harness();
    harness.transient_attempts += usize::from(verdict == Verdict::Surface);
    let initial = harness.generations.is_empty();
    drop(harness);
    classify::error(rig, verdict, Phase::Connect { initial })
}
