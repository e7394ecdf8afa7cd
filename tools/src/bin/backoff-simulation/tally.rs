//! What is counted on the way.

/// How much time a point of the curve stands for, in milliseconds.
pub(crate) const STEP: u64 = 100;

/// The part of a run that is drawn, in milliseconds.
pub(crate) const DRAWN: u64 = 150_000;

pub(crate) struct Outcome {
    pub(crate) clients: u64,
    /// Attempts while the server was away.
    pub(crate) in_vain: u64,
    /// Attempts that were refused after its return.
    pub(crate) refused: u64,
    /// The most attempts within a step after its return.
    pub(crate) peak: u64,
    /// Milliseconds after its return at which half of the clients, 99 % and all are connected.
    pub(crate) back: [Option<u64>; 3],
    pub(crate) curve: Vec<Point>,
}

/// What happens within a step.
#[derive(Clone, Copy, Default)]
pub(crate) struct Point {
    pub(crate) attempts: u64,
    pub(crate) accepted: u64,
}

pub(crate) struct Tally {
    /// When the server returns.
    opens: u64,
    outcome: Outcome,
    accepted: u64,
    attempts: u64,
    step: u64,
    point: Point,
}

impl Tally {
    pub(crate) fn new(clients: u32, opens: u64) -> Self {
        Self {
            opens,
            outcome: Outcome {
                clients: u64::from(clients),
                in_vain: 0,
                refused: 0,
                peak: 0,
                back: [None; 3],
                curve: Vec::new(),
            },
            accepted: 0,
            attempts: 0,
            step: 0,
            point: Point::default(),
        }
    }

    /// Counts a millisecond; times don't go back.
    pub(crate) fn count(&mut self, now: u64, attempts: u64, accepted: u64) {
        if self.step != now / STEP {
            self.finish_step(now / STEP);
        }
        self.point.attempts += attempts;
        self.point.accepted += accepted;
        self.attempts += attempts;
        self.accepted += accepted;
        if now < self.opens {
            self.outcome.in_vain = self.attempts;
        } else {
            self.note_who_is_back(now - self.opens);
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.accepted == self.outcome.clients
    }

    pub(crate) fn finish(mut self) -> Outcome {
        self.finish_step(DRAWN / STEP);
        let after = self.attempts - self.outcome.in_vain;
        self.outcome.refused = after - self.accepted;
        self.outcome
    }

    fn note_who_is_back(&mut self, since: u64) {
        for (percent, back) in [50, 99, 100].into_iter().zip(&mut self.outcome.back) {
            if self.accepted * 100 >= self.outcome.clients * percent {
                back.get_or_insert(since);
            }
        }
    }

    fn finish_step(&mut self, next: u64) {
        let point = std::mem::take(&mut self.point);
        if self.step >= self.opens / STEP {
            self.outcome.peak = self.outcome.peak.max(point.attempts);
        }
        if self.step < DRAWN / STEP {
            let curve = &mut self.outcome.curve;
            curve.push(point);
            let until = usize::try_from(next.min(DRAWN / STEP)).unwrap_or(0);
            curve.resize(until.max(curve.len()), Point::default());
        }
        self.step = next;
    }
}
