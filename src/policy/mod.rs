//! When to reconnect. Everything here is pure: the time and the random number are arguments.

mod backoff;
#[cfg(feature = "backoff")]
mod backoff_crate;
#[cfg(feature = "serde")]
mod config;
#[cfg(feature = "serde")]
mod duration;
mod outage;
#[expect(
    clippy::module_inception,
    reason = "the type is named after the folder"
)]
mod policy;
mod verdict;

pub use backoff::{Backoff, Jitter};
#[cfg(all(feature = "serde", feature = "session"))]
pub(crate) use duration::human;
pub(crate) use outage::Outage;
pub use policy::{Eof, Policy};
pub use verdict::{Phase, Verdict};
