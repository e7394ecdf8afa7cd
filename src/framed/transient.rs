//! Messages that belong to one connection alone.

use std::future::poll_fn;
#[cfg(doc)]
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::Encoder;

use super::reconnecting_framed::ReconnectingFramed;
#[cfg(doc)]
use super::resend::Resend;
use super::send_buffer::Durability;
use crate::connect::Connect;

impl<C, U> ReconnectingFramed<C, U>
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite + Unpin,
{
    /// Accepts a message that belongs to the current connection alone, once there is room for it
    /// in the queue. If that connection ends before, the message is dropped. See
    /// [`start_send_transient`](Self::start_send_transient).
    ///
    /// # Errors
    ///
    /// The codec's error, [`GaveUp`](crate::GaveUp), or
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the stream was closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the message.
    pub async fn feed_transient<I>(&mut self, message: I) -> Result<(), <U as Encoder<I>>::Error>
    where
        U: Encoder<I>,
    {
        Pin::new(&mut *self).sync();
        let generation = self.core.generation();
        poll_fn(|cx| Pin::new(&mut *self).poll_room(Durability::Transient, cx)).await?;
        if self.core.generation() != generation {
            return Ok(());
        }
        Pin::new(self).start_send_transient(message)
    }

    /// Accepts a message that belongs to the current connection alone, and flushes.
    ///
    /// # Errors
    ///
    /// As [`feed_transient`](Self::feed_transient).
    ///
    /// # Cancel safety
    ///
    /// A send that is dropped may have accepted its message.
    pub async fn send_transient<I>(&mut self, message: I) -> Result<(), <U as Encoder<I>>::Error>
    where
        U: Encoder<I>,
    {
        self.feed_transient(message).await?;
        Ok(self.flush().await?)
    }
}

impl<C, U> ReconnectingFramed<C, U>
where
    C: Connect,
    C::Io: AsyncRead + AsyncWrite,
{
    /// Accepts a message that belongs to the current connection alone: an acknowledgment, a PING
    /// or a PONG.
    ///
    /// It is never sent again, it is dropped at a seam (immediately while there is no connection),
    /// it needs no confirmation, and it takes no room in the window of [`Resend::Unconfirmed`].
    /// Without it, a client that acknowledges what it receives fills its window with messages that
    /// are never confirmed.
    ///
    /// The current connection is the one that [`generation`](Self::generation) names. It can be
    /// later than that of the last item, if the reader has items of an earlier connection to take.
    ///
    /// The halves of `futures::StreamExt::split` have no methods for transient messages. To send
    /// them, poll both directions in one task (`tokio::select!`).
    ///
    /// # Errors
    ///
    /// The codec's error, [`GaveUp`](crate::GaveUp), or
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the stream was closed.
    pub fn start_send_transient<I>(
        self: Pin<&mut Self>,
        message: I,
    ) -> Result<(), <U as Encoder<I>>::Error>
    where
        U: Encoder<I>,
    {
        self.accept(Durability::Transient, message)
    }
}
