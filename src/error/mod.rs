//! The errors that this crate puts inside an [`io::Error`](std::io::Error), and that of halves of
//! two streams.

mod chain;
mod connection_lost;
mod gave_up;
mod permanent;
#[cfg(feature = "session")]
mod retry_after;
mod reunite;
#[cfg(test)]
mod tests;

#[cfg(feature = "session")]
pub(crate) use chain::find;
#[cfg(feature = "codec")]
pub(crate) use chain::kind_of;
pub use connection_lost::ConnectionLost;
pub use gave_up::GaveUp;
pub use permanent::Permanent;
#[cfg(feature = "session")]
pub(crate) use retry_after::RetryAfter;
pub use reunite::ReuniteError;
