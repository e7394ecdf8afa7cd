//! Which rounds of a driver leave the writes to the next one.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Whether a round that has delivered what the application waited for leaves the writes to the next one,
/// before which the application runs: its answer goes with the acknowledgment, and a ping-pong takes 2 to
/// 4 % less time (measured).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defers {
    /// A runtime with more threads would wake another one for the next round.
    Never,
    Next,
    /// The last round has. Two in a row would keep what is to be written from a peer that never stops
    /// to write.
    NotNext,
}

impl Defers {
    /// Returns what holds for the tasks of this runtime.
    pub(super) fn here() -> Self {
        let runtime = Handle::try_current();
        match runtime.map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::CurrentThread) => Self::Next,
            Ok(_) | Err(_) => Self::Never,
        }
    }

    pub(super) fn is_allowed(self) -> bool {
        self == Self::Next
    }

    /// Returns what holds after a round.
    pub(super) fn after(self, has_deferred: bool) -> Self {
        match self {
            Self::Never => Self::Never,
            Self::Next | Self::NotNext if has_deferred => Self::NotNext,
            Self::Next | Self::NotNext => Self::Next,
        }
    }
}
