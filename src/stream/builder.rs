//! How a builder makes a byte stream.

use std::io::Result;

use super::reconnecting_stream::ReconnectingStream;
use crate::builder::Builder;
use crate::connect::Connect;
use crate::transfer::Transfer;

impl<C: Connect> Builder<C> {
    /// Makes the first connection now, with one attempt unless
    /// [`retry_initial_connect`](Self::retry_initial_connect) is on.
    ///
    /// # Errors
    ///
    /// The error of the one attempt, or [`TimedOut`](std::io::ErrorKind::TimedOut); with
    /// `retry_initial_connect` a [`GaveUp`](crate::GaveUp), or an error of an attempt that the policy
    /// [surfaces](crate::Verdict::Surface).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempt.
    pub async fn connect(self) -> Result<ReconnectingStream<C>>
    where
        C::Io: Unpin,
    {
        let transfer = Transfer::connect(self.connector, self.settings).await?;
        Ok(ReconnectingStream { transfer })
    }

    /// Returns a stream that makes its first connection when it is polled, under the policy.
    pub fn lazy(self) -> ReconnectingStream<C> {
        let transfer = Transfer::lazy(self.connector, self.settings);
        ReconnectingStream { transfer }
    }

    /// Returns a stream over a connection that exists already: generation 1.
    pub fn wrap(self, io: C::Io) -> ReconnectingStream<C> {
        let transfer = Transfer::wrap(self.connector, self.settings, io);
        ReconnectingStream { transfer }
    }
}
