//! A queue by the millisecond.

/// Items that are due at times less than one turn ahead.
///
/// They are moved from one millisecond's list to another's: with a million of them, following a
/// link to each would be a miss of the cache each time.
pub(crate) struct Wheel<T> {
    slots: Vec<Vec<T>>,
}

impl<T> Wheel<T> {
    pub(crate) fn new(turn: usize) -> Self {
        let slots = std::iter::repeat_with(Vec::new);
        Self {
            slots: slots.take(turn.next_power_of_two()).collect(),
        }
    }

    pub(crate) fn push(&mut self, time: u64, item: T) {
        let slot = self.slot(time);
        self.slots[slot].push(item);
    }

    /// All that is due at this time.
    pub(crate) fn take(&mut self, time: u64) -> Vec<T> {
        let slot = self.slot(time);
        std::mem::take(&mut self.slots[slot])
    }

    /// The first time after this at which something is due.
    pub(crate) fn due_after(&self, time: u64) -> Option<u64> {
        let (before, from) = self.slots.split_at(self.slot(time + 1));
        let mut ahead = from.iter().chain(before);
        let steps = ahead.position(|slot| !slot.is_empty())?;
        Some(time + 1 + steps as u64)
    }

    #[allow(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
    fn slot(&self, time: u64) -> usize {
        time as usize & (self.slots.len() - 1)
    }
}
