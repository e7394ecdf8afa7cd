//! What is noted before the client is commanded, and what may be confirmed.

use std::time::Duration;

use super::world::World;

impl World {
    /// Before the client is commanded to drop its connection.
    pub fn note_command(&mut self) {
        self.commands += 1;
        self.note_loss();
    }

    /// Before the client is told that its connection is bad: no attempt is allowed for it.
    pub fn note_loss(&mut self) {
        let repeats = self.judges_epochs;
        if let Some(line) = self.lines.last_mut().filter(|line| line.is_alive()) {
            // While a second thread injects, the client may already have taken what there was
            // because of an earlier loss, and be about to drop the connection.
            if repeats || !(line.noticed || line.is_noted) {
                line.note_arrived();
            }
        }
    }

    /// Before the client is commanded to close for good.
    pub fn note_end(&mut self) {
        self.is_killed = true;
        self.reading.may_end = true;
    }

    /// Takes note of what the peer of the newest connection has got.
    pub fn learn_what_reached(&mut self) {
        if let Some(line) = self.lines.last() {
            let reached = line.whole_frames_that_left();
            let upto = line.frames.data[..reached]
                .last()
                .map_or(0, |id| *id as usize + 1);
            self.sending.known = self.sending.known.max(upto);
        }
    }

    /// Returns how many messages are to be confirmed: a number counts the messages that there are,
    /// so those that a setting has dropped between them do not count.
    pub fn take_confirmable(&mut self) -> usize {
        let sending = &mut self.sending;
        let upto = sending.known.max(sending.confirmed);
        let n = sending.not_dropped(sending.confirmed..upto);
        sending.confirmed = upto;
        n
    }

    /// Checks that attempts are made under the backoff, except those that were asked for.
    pub fn check_attempts(&mut self, backoff: Duration) {
        let elapsed = self.began.elapsed().as_millis() / backoff.as_millis();
        let allowed = u64::try_from(elapsed).unwrap() + 2 + self.commands;
        if self.stats.attempts > allowed {
            self.fail(format!(
                "herd: {} attempts in {elapsed} backoffs with {} commands",
                self.stats.attempts, self.commands
            ));
        }
    }
}
