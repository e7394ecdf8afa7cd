//! Getters, and confirmations.

use std::pin::Pin;

use bytes::BytesMut;

use super::confirm::ConfirmHandle;
use super::reconnecting_framed::ReconnectingFramed;
use super::recv_buffer::RecvBuffer;
#[cfg(doc)]
use super::resend::Resend;
#[cfg(doc)]
use crate::builder::Builder;
use crate::connect::Connect;
use crate::link::{Handle, State};

impl<C: Connect, U> ReconnectingFramed<C, U> {
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

    /// Returns a handle that confirms messages from other tasks, such as the one that reads the
    /// peer's replies.
    #[must_use]
    pub fn confirm_handle(&self) -> ConfirmHandle {
        ConfirmHandle::new(self.core.confirms.pending(), self.transfer.waker())
    }

    /// Confirms the `n` oldest messages that are not confirmed: the peer has them. With
    /// [`Resend::Unconfirmed`] they are not sent again. More than were fully written to a
    /// connection count as all of those.
    ///
    /// For a peer that says **which** messages it has, so that the caller can leave out those that
    /// it has confirmed before: confirming one twice confirms the next one, too. If the peer only
    /// replies to each message, count with [`confirm_replies`](Self::confirm_replies).
    pub fn confirm(&mut self, n: usize) {
        self.confirm_handle().confirm(n);
        self.core.apply_confirms();
    }

    /// Confirms the next `n` messages of the connection that the last item came from: see
    /// [`ConfirmHandle::confirm_replies`].
    pub fn confirm_replies(&mut self, n: usize) {
        self.confirm_handle().confirm_replies(n);
        self.core.apply_confirms();
    }

    /// Returns how many messages were accepted and are not confirmed. With [`Resend::Torn`], how
    /// many are not fully written. Transient messages do not count.
    #[must_use]
    pub fn unconfirmed(&self) -> usize {
        self.core.unconfirmed()
    }

    /// Returns how many messages were dropped because of
    /// [`OfflineQueue::DropOldest`](super::OfflineQueue::DropOldest) or [`keep_unsent(false)`](Builder::keep_unsent). Transient
    /// messages do not count.
    #[must_use]
    pub fn dropped_messages(&self) -> u64 {
        self.core.send.dropped()
    }

    /// Returns the connection; `None` while there is none.
    #[must_use]
    pub fn get_ref(&self) -> Option<&C::Io> {
        Some(self.transfer.get_ref()?.io())
    }

    /// Returns the connection; `None` while there is none. Bytes that are read from it or written
    /// to it directly tear messages.
    pub fn get_mut(&mut self) -> Option<&mut C::Io> {
        self.readiness.set();
        Some(self.transfer.get_mut()?.io_mut())
    }

    /// Returns the connection, pinned; `None` while there is none.
    #[must_use]
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Option<Pin<&mut C::Io>> {
        let this = self.project();
        this.readiness.set();
        Some(this.transfer.connection()?.io_pin_mut())
    }

    /// Returns the codec of the current connection, once the connection has been used.
    #[must_use]
    pub fn codec(&self) -> Option<&U> {
        Some(self.core.recv.current()?.codec())
    }

    /// Returns the codec of the current connection, once the connection has been used. The next
    /// connection begins with a new one.
    pub fn codec_mut(&mut self) -> Option<&mut U> {
        Some(self.core.recv.current_mut()?.codec_mut())
    }

    /// Returns what has arrived on the current connection and was not decoded.
    #[must_use]
    pub fn read_buffer(&self) -> Option<&BytesMut> {
        self.core.recv.current().map(RecvBuffer::bytes)
    }

    /// Takes the connection out; `None` if there is none. What was read ahead, and what was
    /// accepted and not sent, is dropped.
    #[must_use]
    pub fn into_inner(self) -> Option<C::Io> {
        Some(self.transfer.into_inner()?.into_io())
    }
}
