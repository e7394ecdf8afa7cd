//! Confirmations from elsewhere.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use crate::sync::{AtomicUsize, Ordering};

/// What was confirmed and has not been applied.
#[derive(Debug, Default)]
pub(super) struct Pending {
    messages: Count,
    answers: Count,
}

impl Pending {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_zero() && self.answers.is_zero()
    }

    pub(super) fn messages(&self) -> &Count {
        &self.messages
    }

    pub(super) fn answers(&self) -> &Count {
        &self.answers
    }
}

#[derive(Debug, Default)]
pub(super) struct Count(AtomicUsize);

impl Count {
    #[inline]
    fn is_zero(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    pub(super) fn add(&self, n: usize) {
        let add = |count: usize| Some(count.saturating_add(n));
        // The closure always answers `Some`.
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
    }

    pub(super) fn take(&self) -> usize {
        self.0.swap(0, Ordering::AcqRel)
    }
}

/// Confirms messages of a [`ReconnectingFramed`](crate::ReconnectingFramed) from elsewhere, as
/// the half that reads the peer's answers has to.
#[derive(Clone)]
pub struct Confirmations {
    pending: Arc<Pending>,
    waker: Waker,
}

impl Confirmations {
    pub(super) fn new(pending: Arc<Pending>, waker: Waker) -> Self {
        Self { pending, waker }
    }

    /// The peer has the `n` oldest messages that were not confirmed. More than were handed over
    /// count as all of those. Wakes a sink that was full.
    ///
    /// For a peer that says **which** messages it has, so that saying it twice confirms nothing
    /// twice. If it only answers each message, count with [`answered`](Self::answered).
    pub fn confirm(&self, n: usize) {
        self.pending.messages.add(n);
        self.waker.wake_by_ref();
    }

    /// The peer has answered the next `n` messages of the connection that the last item came
    /// from. More than were handed over count as all of those. Wakes a sink that was full.
    ///
    /// For a peer that answers every message once, in order, and does not say which one it
    /// answers (redis, SMTP, HTTP/1.1). On each connection the first answer is for the first
    /// message that this connection was given, and that one may have been answered on the
    /// connection before, while it was being sent again: the answers are counted so that it is
    /// not confirmed twice, in place of one that nobody has answered.
    ///
    /// To be called by the reader, after it has got an answer and before it polls for the next
    /// item. The answers to what a handshake sends have to be read by the handshake.
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
    ///     lines.answered(1); // not if it says that the command has to be repeated
    /// }
    /// # assert!(lines.generation() > 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn answered(&self, n: usize) {
        self.pending.answers.add(n);
        self.waker.wake_by_ref();
    }
}

impl fmt::Debug for Confirmations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmations").finish_non_exhaustive()
    }
}
