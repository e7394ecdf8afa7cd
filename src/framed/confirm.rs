//! Confirmations: those from other tasks, and how the replies of a connection are counted.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use super::send_buffer::{SendBuffer, WrittenRange};
use crate::sync::{AtomicUsize, Ordering};

/// What was confirmed and has not been applied.
#[derive(Debug, Default)]
pub(super) struct PendingConfirms {
    messages: AtomicCounter,
    replies: AtomicCounter,
}

impl PendingConfirms {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.messages.get() == 0 && self.replies.get() == 0
    }
}

#[derive(Debug, Default)]
struct AtomicCounter(AtomicUsize);

impl AtomicCounter {
    #[inline]
    fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    fn add(&self, n: usize) {
        let add = |count: usize| Some(count.saturating_add(n));
        // The closure always returns `Some`.
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
    }

    fn take(&self) -> usize {
        self.0.swap(0, Ordering::AcqRel)
    }
}

/// Applies confirmations to a [`SendBuffer`]. Replies count for the connection that the reader is
/// on, in the order in which messages were written to that connection.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    pending: Arc<PendingConfirms>,
    /// The messages that were written to the connection that the reader is on; `None` for the
    /// current connection, to which more are being written.
    written: Option<WrittenRange>,
    /// How many replies of that connection have been counted.
    replies: u64,
}

impl Confirms {
    pub(super) fn pending(&self) -> Arc<PendingConfirms> {
        Arc::clone(&self.pending)
    }

    /// Returns whether there are confirmations that were not applied.
    #[inline]
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Applies the pending confirmations.
    pub(super) fn apply(&mut self, buffer: &mut SendBuffer) {
        if !self.has_pending() {
            return;
        }
        let (messages, replies) = (self.pending.messages.take(), self.pending.replies.take());
        let seq = self.confirmed_seq(buffer, messages, replies);
        self.replies = self.count(buffer, replies);
        buffer.confirm_up_to(seq);
    }

    /// Returns how many messages are not confirmed, the pending confirmations included.
    pub(super) fn unconfirmed(&self, buffer: &SendBuffer) -> usize {
        let (messages, replies) = (self.pending.messages.get(), self.pending.replies.get());
        buffer.unconfirmed(self.confirmed_seq(buffer, messages, replies))
    }

    /// Moves the reader to a connection that has ended and to which these messages were written, or
    /// to the current one (`None`). The replies counted so far belong to the connection that it was on before.
    pub(super) fn move_to(&mut self, written: Option<WrittenRange>, buffer: &mut SendBuffer) {
        self.apply(buffer);
        self.written = written;
        self.replies = 0;
    }

    /// Records the end of the current connection.
    pub(super) fn end_connection(&mut self, written: WrittenRange) {
        self.written.get_or_insert(written);
    }

    fn confirmed_seq(&self, buffer: &SendBuffer, messages: usize, replies: usize) -> u64 {
        let by_messages = buffer.confirmed_seq().saturating_add(messages as u64);
        let by_replies = self.written_range(buffer).start + self.count(buffer, replies);
        let confirmed = by_messages.min(buffer.sent_seq());
        match replies {
            0 => confirmed,
            _ => confirmed.max(by_replies),
        }
    }

    /// Returns the count of replies after `more` of them. More than there are messages count as
    /// all of those.
    fn count(&self, buffer: &SendBuffer, more: usize) -> u64 {
        let WrittenRange { start, end } = self.written_range(buffer);
        let most = end.saturating_sub(start);
        self.replies.saturating_add(more as u64).min(most)
    }

    fn written_range(&self, buffer: &SendBuffer) -> WrittenRange {
        self.written.unwrap_or_else(|| buffer.written_range())
    }
}

/// Confirms messages of a [`ReconnectingFramed`](crate::ReconnectingFramed) from another task, such
/// as the one that reads the peer's replies.
#[derive(Clone)]
pub struct ConfirmHandle {
    pending: Arc<PendingConfirms>,
    waker: Waker,
}

impl ConfirmHandle {
    pub(super) fn new(pending: Arc<PendingConfirms>, waker: Waker) -> Self {
        Self { pending, waker }
    }

    /// Confirms the `n` oldest messages that are not confirmed: the peer has them. More than were
    /// fully written to a connection count as all of those. Wakes the tasks that wait for room, a
    /// flush or a close.
    ///
    /// For a peer that says **which** messages it has, so that the caller can leave out those that
    /// it has confirmed before: confirming one twice confirms the next one, too. If the peer only
    /// replies to each message, count with
    /// [`confirm_replies`](Self::confirm_replies). Use one of the two on a stream: of both, called
    /// between two polls, the reply is taken to be that of a message which `confirm` counts.
    pub fn confirm(&self, n: usize) {
        self.pending.messages.add(n);
        self.waker.wake_by_ref();
    }

    /// Confirms the next `n` messages of the connection that the last item came from: the peer has
    /// replied to them. More than were fully written to that connection count as all of those.
    /// Wakes the tasks that wait for room, a flush or a close.
    ///
    /// For a peer that replies to every message once, in order, and does not say to which one
    /// (redis, SMTP, HTTP/1.1). On each connection the first reply is for the first message that
    /// was written to it. That message may have been confirmed by the connection before,
    /// while it was being sent again; counting by connection never confirms another one in its
    /// place.
    ///
    /// Call this in the reader, after it has received a reply and before it polls for the next
    /// item. The replies to what a handshake sends have to be read by the handshake.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::{SinkExt, StreamExt};
    /// use reconnecting_stream::{ReconnectingFramed, Resend};
    /// use tokio_util::codec::LinesCodec;
    /// # use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, duplex};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # // It answers every line with "done", and closes after the second answer.
    /// # let connector = || async {
    /// #     let (ours, theirs) = duplex(64);
    /// #     tokio::spawn(async move {
    /// #         let mut peer = BufReader::new(theirs);
    /// #         for _ in 0..2 {
    /// #             peer.read_line(&mut String::new()).await?;
    /// #             peer.write_all(b"done\n").await?;
    /// #         }
    /// #         std::io::Result::Ok(())
    /// #     });
    /// #     Ok(ours)
    /// # };
    ///
    /// let mut lines = ReconnectingFramed::builder(connector, LinesCodec::new())
    ///     .resend(Resend::Unconfirmed { max_bytes: 64 * 1024 })
    ///     .connect()
    ///     .await?;
    /// for command in ["set a 1", "set b 2", "set c 3"] {
    ///     lines.feed(command).await?; // all of them, before the first answer
    /// }
    /// while lines.unconfirmed() > 0 {
    ///     // A codec that takes several types has to be told which: `LinesCodec` does, here.
    ///     SinkExt::<&str>::flush(&mut lines).await?;
    ///     let answer = lines.next().await.ok_or("closed")??;
    ///     assert_eq!(answer, "done");
    ///     lines.confirm_replies(1); // not if it says that the command has to be repeated
    /// }
    /// # assert!(lines.generation() > 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn confirm_replies(&self, n: usize) {
        self.pending.replies.add(n);
        self.waker.wake_by_ref();
    }
}

impl fmt::Debug for ConfirmHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfirmHandle").finish_non_exhaustive()
    }
}
