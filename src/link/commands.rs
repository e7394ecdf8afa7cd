//! What the handles ask of a link.
//!
//! `tests/wakers_loom.rs` model-checks this file.

use std::io;

use super::shared::{CLOSE, COMMANDS, MARK_LOST, RECONNECT, Shared, lock};

/// What a [`Handle`](super::Handle) asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Close,
    Reconnect,
    /// The application says that this generation is dead.
    Lose(u64, io::Error),
}

/// A generation, and why it is dead.
pub(super) type MarkedLost = (u64, io::Error);

impl Shared {
    /// Asks the link, and wakes every task that polls it.
    pub(crate) fn command(&self, command: Command) {
        let flag = match command {
            Command::Close => CLOSE,
            Command::Reconnect => RECONNECT,
            Command::Lose(generation, cause) => {
                // Dropped after the lock is released, because an error is foreign code.
                let _dropped = self.mark_lost((generation, cause));
                MARK_LOST
            }
        };
        self.flags.set(flag);
        self.wake_all();
    }

    /// Keeps the mark of the latest generation. Returns the other one.
    fn mark_lost(&self, marked: MarkedLost) -> Option<MarkedLost> {
        let mut rare = lock(&self.rare);
        let pending = &mut rare.get_or_insert_default().marked_lost;
        if pending.as_ref().is_some_and(|last| last.0 >= marked.0) {
            return Some(marked);
        }
        pending.replace(marked)
    }

    /// Takes the pending command. Closing replaces the others, and a reconnect replaces a loss.
    pub(crate) fn take_command(&self) -> Option<Command> {
        let pending = self.flags.clear(COMMANDS);
        if pending == 0 {
            return None;
        }
        let marked_lost = lock(&self.rare)
            .as_mut()
            .and_then(|rare| rare.marked_lost.take());
        if pending & CLOSE != 0 {
            Some(Command::Close)
        } else if pending & RECONNECT != 0 {
            Some(Command::Reconnect)
        } else {
            let (generation, cause) = marked_lost?;
            Some(Command::Lose(generation, cause))
        }
    }
}
