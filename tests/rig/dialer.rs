//! The connector.

use std::future::{Future, pending};
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reconnecting_stream::{Attempt, Connect};
use tokio::time::sleep;

use super::run::trace;
use super::socket::Socket;
use super::world::Rig;

pub struct Dialer(pub Arc<Rig>);

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Accepts,
    AcceptsAfter(u64),
    Refuses,
    Hangs,
}

impl Connect for Dialer {
    type Io = Socket;
    type Future = Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>;

    fn connect(&mut self, attempt: &Attempt) -> Self::Future {
        let (rig, generation) = (Arc::clone(&self.0), attempt.generation);
        let outcome = {
            let mut world = rig.world();
            world.stats.attempts += 1;
            let faulty = world.settings.faulty_attempts && !world.is_settled;
            match world.random.below(if faulty { 10 } else { 1 }) {
                1 => Outcome::Refuses,
                2 => Outcome::Hangs,
                3 | 4 => Outcome::AcceptsAfter(1 + world.random.below(30) as u64),
                _ => Outcome::Accepts,
            }
        };
        trace(|| format!("    attempt: {outcome:?}"));
        Box::pin(async move {
            match outcome {
                Outcome::Accepts => {}
                Outcome::AcceptsAfter(ms) => sleep(Duration::from_millis(ms)).await,
                Outcome::Refuses => return Err(ErrorKind::ConnectionRefused.into()),
                Outcome::Hangs => pending().await,
            }
            Ok(rig.accept(generation))
        })
    }
}
