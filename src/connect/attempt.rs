//! What a connector knows about its attempt.

use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The context of an attempt, passed to the connector.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// The number of this attempt in its outage, counted from 1.
    pub number: u32,
    /// The generation that the connection will have.
    pub generation: u64,
    /// The error of the previous attempt, or the cause of the loss.
    pub last_error: Option<Arc<io::Error>>,
    /// How long the outage has lasted so far.
    pub downtime: Duration,
}

impl Attempt {
    /// Returns the first attempt of a new stream. Use it to call a connector directly, as in a test.
    #[must_use]
    pub const fn first() -> Self {
        Self {
            number: 1,
            generation: 1,
            last_error: None,
            downtime: Duration::ZERO,
        }
    }
}
