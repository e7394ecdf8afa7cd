//! What is decided at the beginning of a history, and what is counted.

use reconnecting_stream::{Eof, Resend, Seam};

use super::connection::Habits;

/// How messages are treated that are accepted while there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offline {
    Keep,
    Refuse,
    DropOldest,
}

/// The bounds of what waits for the reader, unless they are set.
pub const MAX_UNREAD: (usize, u64) = (1 << 20, 8);

/// What is decided at the beginning of a history.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub seam: Seam,
    pub eof: Eof,
    pub resend: Resend,
    pub max_queued: usize,
    pub max_attempts: Option<u32>,
    pub offline: Offline,
    /// What was accepted and not fully written is kept after a loss.
    pub keeps_unsent: bool,
    /// What waits for the reader of connections that are gone: bytes, and connections.
    pub max_unread: (usize, u64),
    pub habits: Habits,
    /// The decoder has so many items more at a real end.
    pub trailers: u32,
    pub has_handshake: bool,
    /// Each fresh connection brings up to so many items.
    pub banner: usize,
    pub faulty_attempts: bool,
    /// Errors say what the classifier is to say of them.
    pub has_classifier: bool,
}

/// How much has happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub histories: u64,
    pub steps: u64,
    pub operations: u64,
    pub attempts: u64,
    pub connections: u64,
    pub losses: u64,
    pub items: u64,
    pub messages: u64,
    /// Messages that a setting has dropped.
    pub dropped: u64,
    /// Bytes that seams said to have been dropped.
    pub dropped_bytes: u64,
    pub idle_losses: u64,
    /// Errors whose verdict was scripted.
    pub classified: u64,
    pub gave_up: u64,
    /// Closes that were called again after they had given up.
    pub closed_again: u64,
    pub observer_panics: u64,
}

impl Stats {
    pub const fn add(&mut self, other: &Self) {
        self.histories += other.histories;
        self.steps += other.steps;
        self.operations += other.operations;
        self.attempts += other.attempts;
        self.connections += other.connections;
        self.losses += other.losses;
        self.items += other.items;
        self.messages += other.messages;
        self.dropped += other.dropped;
        self.dropped_bytes += other.dropped_bytes;
        self.idle_losses += other.idle_losses;
        self.classified += other.classified;
        self.gave_up += other.gave_up;
        self.closed_again += other.closed_again;
        self.observer_panics += other.observer_panics;
    }
}
