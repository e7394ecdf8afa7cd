//! The end of a history: the network is well, and everything has to come to its end.

use reconnecting_stream::State;

use super::super::hook::Act;
use super::super::reading::Reading;
use super::super::run::Failure;
use super::client::{Client, Op};
use super::halves::Halves;
use super::plan::Confirming;
use super::{checks, pass};

/// So many rounds without an item are the end.
const ROUNDS: usize = 300;
const ROUND: u64 = 10;

impl Client {
    pub async fn tear_down(&mut self) -> Result<(), Failure> {
        self.heal();
        let (mut rounds, mut delivered) = (0, 0);
        while rounds < ROUNDS {
            let before = std::mem::replace(&mut delivered, self.rig.harness().reading.delivered);
            rounds = if delivered > before { 0 } else { rounds + 1 };
            self.begin_last_operations();
            self.run();
            self.check()?;
            if self.is_finished() {
                let verdict = self.rig.harness().sending.check_dropped();
                self.rig.harness().check(verdict);
                return self.check();
            }
            self.act_as_well_peer();
            self.run();
            self.check()?;
            pass(ROUND).await;
        }
        let state = self.rig.handle.get().expect("set").state();
        let mut harness = self.rig.harness();
        harness.check_reading(Reading::leave_all_lost);
        if harness.reading.has_untold_seams(harness.generations.len()) {
            harness.fail("seam-untold: a connection was lost, and the reader was not told");
        }
        let why = format!(
            "hang: reader {:?}, writer {:?} in {state:?}, all read: {}",
            self.reader.op,
            self.writer.op,
            harness.reader_has_all()
        );
        harness.fail(why);
        drop(harness);
        self.check()
    }

    fn heal(&mut self) {
        self.rig.harness().make_healthy();
        self.rig.act(Act::StallShutdown(false));
        self.rig.act(Act::Room(usize::MAX));
        if matches!(self.reader.op, Some(Op::Connected)) {
            self.reader.cancel();
        }
    }

    fn begin_last_operations(&mut self) {
        let state = self.rig.handle.get().expect("set").state();
        let (is_killed, is_closing) = {
            let harness = self.rig.harness();
            (harness.is_killed, harness.is_closing)
        };
        if matches!(state, State::GaveUp) && !is_killed {
            self.rig.act(Act::Reconnect);
        }
        self.revive();
        if self.reader.op.is_none() && !self.reader.is_stopped {
            self.reader.begin(Op::Next);
        }
        if self.writer.op.is_none() && !self.writer.is_stopped {
            self.writer
                .begin(if is_closing { Op::Close } else { Op::Flush });
        }
    }

    fn act_as_well_peer(&mut self) {
        self.rig.act(Act::Room(usize::MAX));
        for _ in 0..4 {
            self.rig.act(Act::Reply);
        }
        if self.rig.harness().is_closing && self.close_returned {
            self.rig.act(Act::Fin);
        }
        let has_reader = !matches!(self.halves, Halves::Split(_, None));
        let is_told_by_replies = has_reader && !checks::passes(self.plan.settings.eof);
        // Both kinds of confirmations together are not told apart once they are taken over.
        let may_confirm = self.plan.confirming != Confirming::Answered || !is_told_by_replies;
        if may_confirm && !self.has_pending_answers {
            self.rig.act(Act::ConfirmReached);
        }
    }

    fn is_finished(&mut self) -> bool {
        let state = self.rig.handle.get().expect("set").state();
        let (has_sink, has_stream) = match &self.halves {
            Halves::Whole(_) => (true, true),
            Halves::Split(sink, stream) => (sink.is_some(), stream.is_some()),
        };
        let harness = self.rig.harness();
        // After a shutdown that has begun, no reconnect starts again.
        let gave_up = matches!(state, State::GaveUp) && harness.shutdown_is_permanent;
        if harness.is_killed || gave_up {
            return self.reader.op.is_none() && self.writer.op.is_none();
        }
        if harness.is_closing && !has_sink && !self.close_returned {
            // A close that was begun and given up.
            return self.reader.is_stopped || harness.reader_has_all();
        }
        if harness.is_closing {
            return self.close_returned && (!has_stream || self.reader.is_stopped);
        }
        let passes = checks::passes(harness.settings.eof);
        let has_read = !has_stream || passes || harness.reader_has_all();
        // The sink has nothing to do when its last flush is Ok, which was checked.
        has_read && harness.sending_is_done(has_sink) && !self.writer_is_at_work()
    }

    fn writer_is_at_work(&self) -> bool {
        self.writer.op.is_some()
    }
}
