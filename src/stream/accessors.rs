//! Getters.

use std::pin::Pin;

use super::reconnecting_stream::ReconnectingStream;
use crate::connect::Connect;
use crate::link::{Handle, State};

impl<C: Connect> ReconnectingStream<C> {
    /// Returns the number of the current connection, or of the last one if there is none now; 0
    /// before the first.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.transfer.generation()
    }

    /// Returns the state of the stream.
    #[must_use]
    pub fn state(&self) -> State {
        self.transfer.state()
    }

    /// Returns a handle that watches and commands the stream from other tasks.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.transfer.handle()
    }

    /// Returns the connection; `None` while there is none.
    #[must_use]
    pub fn get_ref(&self) -> Option<&C::Io> {
        self.transfer.get_ref()
    }

    /// Returns the connection; `None` while there is none.
    ///
    /// The stream does not see the bytes that are read or written directly. It detects a loss
    /// only when one of its own operations meets it.
    pub fn get_mut(&mut self) -> Option<&mut C::Io> {
        self.transfer.get_mut()
    }

    /// Returns the connection, pinned; `None` while there is none.
    #[must_use]
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Option<Pin<&mut C::Io>> {
        self.project().transfer.connection()
    }

    /// Takes the connection out; `None` if there is none.
    #[must_use]
    pub fn into_inner(self) -> Option<C::Io> {
        self.transfer.into_inner()
    }
}
