//! The policy of the tests.

use std::time::Duration;

use reconnecting_stream::{Backoff, Policy};

/// Returns a policy for tests, which never gives up.
pub fn quick() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(Duration::from_millis(2)))
        .stable_after(Duration::ZERO)
        .attempt_timeout(Duration::from_secs(5))
        .max_attempts(None)
}
