//! How a builder makes a [`Reconnecting`].

use std::io::Result;

use super::exclusive::Reconnecting;
use crate::builder::Builder;
use crate::connect::Connect;
use crate::transfer::Transfer;

/// The kind of a [`Builder`] of [`Reconnecting`] clients. It has no settings of its own.
///
/// A client has no halves, so [`seam`](Builder::seam) has no effect. The crate does not read, so
/// neither have [`Policy::eof`](crate::Policy::eof) and
/// [`Policy::idle_timeout`](crate::Policy::idle_timeout).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Supervised;

impl<C: Connect> Builder<C, Supervised> {
    /// Makes the first client now, with one attempt unless
    /// [`retry_initial_connect`](Self::retry_initial_connect) is on.
    ///
    /// # Errors
    ///
    /// The error of the one attempt, or [`TimedOut`](std::io::ErrorKind::TimedOut); with
    /// `retry_initial_connect` a [`GaveUp`](crate::GaveUp).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempt.
    pub async fn connect(self) -> Result<Reconnecting<C>>
    where
        C::Io: Unpin,
    {
        let transfer = Transfer::connect(self.connector, self.settings).await?;
        Ok(Reconnecting { transfer })
    }

    /// Returns a `Reconnecting` that makes its first client when it is asked for one, under the
    /// policy.
    pub fn lazy(self) -> Reconnecting<C> {
        let transfer = Transfer::lazy(self.connector, self.settings);
        Reconnecting { transfer }
    }

    /// Returns a `Reconnecting` with a client that exists already: generation 1.
    pub fn wrap(self, client: C::Io) -> Reconnecting<C> {
        let transfer = Transfer::wrap(self.connector, self.settings, client);
        Reconnecting { transfer }
    }
}
