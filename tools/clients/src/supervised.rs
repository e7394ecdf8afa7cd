//! A client that many tasks share, under a policy.

use std::io;

use reconnecting_stream::{Backoff, Connect, Policy, ReconnectingStream};
use std::time::Duration;
use tokio::sync::Mutex;

/// A client that many tasks share. The stream connects it, and the tasks report its loss.
///
/// A `C::Io` that is not cheap to clone goes in an `Arc`.
pub struct Supervised<C: Connect>(Mutex<ReconnectingStream<C>>);

impl<C: Connect<Io: Clone + Unpin>> Supervised<C> {
    pub fn new(connector: C, policy: Policy) -> Self {
        let stream = ReconnectingStream::builder(connector).policy(policy);
        Self(Mutex::new(stream.lazy()))
    }

    /// Returns the client and its generation. Tasks that come while there is none wait here.
    pub async fn get(&self) -> io::Result<(u64, C::Io)> {
        let mut stream = self.0.lock().await;
        loop {
            let generation = stream.connected().await?;
            if let Some(client) = stream.get_mut() {
                return Ok((generation, client.clone()));
            }
        }
    }

    /// Reports that the client of this generation is lost. Many tasks find the same loss: the
    /// first one reports it, and the next client is safe from the others.
    pub async fn mark_lost(&self, generation: u64, cause: io::Error) {
        let mut stream = self.0.lock().await;
        if stream.generation() == generation {
            stream.mark_lost(cause);
        }
    }
}

/// Returns a policy for tests, which never gives up.
pub fn quick() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(Duration::from_millis(2)))
        .stable_after(Duration::ZERO)
        .attempt_timeout(Duration::from_secs(5))
        .max_attempts(None)
}
