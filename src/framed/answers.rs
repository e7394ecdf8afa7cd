//! The answers of a peer that does not say which message it answers.

/// Where the messages of a connection begin.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Origin {
    /// As those that have been used are counted.
    connection: u64,
    /// The first message that it was given, since the first one ever.
    pub(super) message: u64,
}

impl Origin {
    /// Of the next connection.
    pub(super) fn next(self, message: u64) -> Self {
        Self {
            connection: self.connection + 1,
            message,
        }
    }

    pub(super) fn is_of_the_connection_of(self, other: Self) -> bool {
        self.connection == other.connection
    }
}

/// The answers of one connection: that which the reader is on.
#[derive(Debug, Default)]
pub(super) struct Answers {
    origin: Origin,
    count: u64,
}

impl Answers {
    pub(super) fn of(origin: Origin) -> Self {
        Self { origin, count: 0 }
    }

    pub(super) fn are_of(&self, origin: Origin) -> bool {
        self.origin.is_of_the_connection_of(origin)
    }

    /// Adds `n`, and returns how many of the oldest messages have been answered. `known` messages
    /// since the `oldest` can have been.
    pub(super) fn add(&mut self, n: usize, oldest: u64, known: usize) -> usize {
        let possible = (oldest + known as u64).saturating_sub(self.origin.message);
        self.count = self.count.saturating_add(n as u64).min(possible);
        let answered = (self.origin.message + self.count).saturating_sub(oldest);
        usize::try_from(answered).unwrap_or(usize::MAX)
    }
}
