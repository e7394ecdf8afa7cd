//! A server that accepts so many connections a second.

/// Times are milliseconds since the loss.
pub(crate) struct Server {
    pub(crate) opens: u64,
    /// Connections a second.
    rate: u64,
    backlog: u64,
    now: u64,
    /// Thousandths of a connection that may be accepted now. What is left of a millisecond is
    /// lost, except for the fraction of a connection.
    credit: u64,
    /// Never above `backlog` between two milliseconds.
    queued: u64,
}

impl Server {
    pub(crate) fn new(opens: u64, rate: u64, backlog: u64) -> Self {
        Self {
            opens,
            rate,
            backlog,
            now: 0,
            credit: 0,
            queued: 0,
        }
    }

    /// Begins a millisecond.
    pub(crate) fn advance(&mut self, now: u64) {
        let since = self.now.max(self.opens.saturating_sub(1));
        let earned = now.saturating_sub(since) * self.rate;
        self.credit = (self.credit + earned).min(self.rate + 999);
        self.now = now;
    }

    /// How many of these it takes; the others are refused.
    pub(crate) fn admit(&mut self, clients: u32) -> u32 {
        if self.now < self.opens {
            return 0;
        }
        let room = (self.acceptable() + self.backlog).saturating_sub(self.queued);
        let admitted = clients.min(u32::try_from(room).unwrap_or(u32::MAX));
        self.queued += u64::from(admitted);
        admitted
    }

    /// Ends a millisecond: how many are connected by now.
    pub(crate) fn accept(&mut self) -> u64 {
        let accepted = self.queued.min(self.acceptable());
        self.queued -= accepted;
        self.credit -= accepted * 1000;
        accepted
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queued == 0
    }

    fn acceptable(&self) -> u64 {
        self.credit / 1000
    }
}
