//! What is sent again.

/// What happens to messages that were fully written to a connection that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Resend {
    /// They are not sent again, whether they have arrived or not. Only a message that was torn by
    /// the loss is, whole: at most once.
    #[default]
    Torn,
    /// They are kept until they are confirmed
    /// ([`confirm`](crate::ReconnectingFramed::confirm), or
    /// [`confirm_replies`](crate::ReconnectingFramed::confirm_replies)), and sent again, oldest first, before
    /// anything new: at least once, no gap, no reordering. A message that is only fed leaves with
    /// the next flush, or when there is no room for another.
    Unconfirmed {
        /// The window: how many bytes are kept, encoded, before the sink is full; 0 counts as 1. One
        /// message may exceed it. Only a confirmation makes room, so the peer's replies have to be read
        /// meanwhile: a task that sends more than this before it reads waits forever.
        max_bytes: usize,
    },
}

impl Resend {
    pub(super) const fn window(self) -> usize {
        match self {
            Self::Torn => usize::MAX,
            Self::Unconfirmed { max_bytes } => {
                if max_bytes == 0 {
                    1
                } else {
                    max_bytes
                }
            }
        }
    }
}
