//! Tells the time: Tokio's, which a test can pause. No other file reads a clock.

use std::time::Duration;

use tokio::time::Instant;

/// What a deadline that can't be told is put to, as Tokio's own timers do.
const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

/// For the rules of an outage.
pub(super) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// When a wait that begins now is over.
pub(super) fn after(delay: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(delay).unwrap_or_else(|| now + FAR)
}

/// How long a deadline has been over.
pub(super) fn since(deadline: Instant) -> Duration {
    deadline.elapsed()
}
