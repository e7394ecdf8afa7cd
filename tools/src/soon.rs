//! A deadline for what waits for real programs.

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;

/// Long enough for a busy machine. No test takes that long unless it hangs.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for a future. Panics if it hangs.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("it hangs")
}
