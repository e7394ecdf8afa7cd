//! How long each message is.

/// The lengths of messages in order, oldest first. One is added for each message, so that has to
/// be cheaper than taking them away, which happens by the batch.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    all: Vec<usize>,
    /// How many of `all` were taken away already. At most a half, unless there are none left.
    gone: usize,
}

impl Lengths {
    #[inline]
    pub(super) fn push(&mut self, length: usize) {
        self.all.push(length);
    }

    pub(super) fn len(&self) -> usize {
        self.all.len() - self.gone
    }

    pub(super) fn get(&self, number: usize) -> Option<usize> {
        self.all.get(self.gone + number).copied()
    }

    /// Takes the `n` oldest away, and returns their sum.
    pub(super) fn remove(&mut self, n: usize) -> usize {
        let until = self.gone + n;
        let sum = self.all[self.gone..until].iter().sum();
        self.gone = until;
        if 2 * self.gone > self.all.len() {
            self.all.drain(..self.gone);
            self.gone = 0;
        }
        sum
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.gone = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::Lengths;

    #[test]
    fn lengths_are_a_queue_whatever_is_taken_away() {
        let (mut lengths, mut model) = (Lengths::default(), VecDeque::new());
        for step in 0..1_000_usize {
            lengths.push(step);
            model.push_back(step);
            if step % 3 == 0 {
                let n = (step * 7) % (model.len() + 1);
                let sum: usize = model.drain(..n).sum();
                assert_eq!(lengths.remove(n), sum);
            }
            assert_eq!(lengths.len(), model.len());
            for number in 0..=model.len() {
                assert_eq!(lengths.get(number), model.get(number).copied());
            }
            assert!(lengths.all.len() <= 2 * model.len() + 1);
        }
        lengths.clear();
        assert_eq!((lengths.len(), lengths.get(0)), (0, None));
    }
}
