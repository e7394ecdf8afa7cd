//! What the answers of the client may be.

use std::io::{self, ErrorKind};

use reconnecting_stream::{ConnectionLost, GaveUp, Handle, State};

use super::super::classify::{TRANSIENT_ATTEMPT, TRANSIENT_READ, TRANSIENT_WRITE};
use super::super::codec::{CodecError, Item, Message};
use super::client::{Client, Op, PollOutcome};
use super::halves::Halves;
use super::newer;
use super::plan::Confirming;

impl Client {
    pub fn take(&mut self, op: Op, answer: PollOutcome) {
        if !matches!(answer, PollOutcome::Item(_) | PollOutcome::Generation(_)) {
            self.update_slot();
        }
        match (answer, op) {
            (PollOutcome::Item(item), _) => self.take_item(item),
            (PollOutcome::Generation(generation), _) => self.take_generation(generation),
            (PollOutcome::Fed(fed), Op::Feed { message, flushes }) => {
                self.take_fed(message, flushes, fed);
            }
            (PollOutcome::Flushed(Ok(())), _) => self.rig.harness().check_flush(),
            (PollOutcome::Flushed(Err(error)), _) => self.take_sink_error(op, &error),
            (PollOutcome::Closed(Err(CodecError::Io(error))), _) if is_transient(&error) => {
                self.take_sink_error(op, &CodecError::Io(error));
            }
            (PollOutcome::Closed(Err(CodecError::Refused)), _) => {
                // A message that `SplitSink` held back failed, and the close has not begun.
                let refused = CodecError::Refused;
                self.take_sink_error(op, &refused);
            }
            (PollOutcome::Closed(Err(error)), _) if GaveUp::find(&error).is_some() => {
                self.close_gave_up = true;
                // "`handle.reconnect()` starts afresh also after a close was tried."
                self.take_sink_error(op, &error);
            }
            (PollOutcome::Closed(closed), _) => {
                self.close_returned = true;
                self.writer.is_stopped = true;
                match closed {
                    Ok(()) => self.rig.harness().check_close(),
                    Err(error) => self.take_sink_error(op, &error),
                }
            }
            (PollOutcome::Fed(Err(error)), Op::FeedTransient(_)) => {
                self.take_sink_error(op, &error);
            }
            (PollOutcome::Fed(Ok(())), Op::FeedTransient(_)) => {}
            (PollOutcome::Panicked, _) => self.take_panic(op),
            (PollOutcome::Fed(_), _) => unreachable!("only what was fed"),
        }
    }

    fn take_item(&mut self, item: Option<Result<Item, CodecError>>) {
        let mut harness = self.rig.harness();
        match item {
            Some(Ok(item)) => {
                harness.check_reading(|reading, connections| reading.item(connections, item));
                drop(harness);
                if let Some(id) = item.reply {
                    self.take_reply(id as usize);
                }
            }
            Some(Err(error)) => {
                self.reader.is_stopped |= GaveUp::find(&error).is_some() || harness.is_killed;
                harness.check_reading(|reading, connections| reading.error(connections, &error));
                harness.note_surfaced(&error);
                let is_transient = matches!(&error, CodecError::Io(error) if is_transient(error));
                if is_transient {
                    // The reader takes those of the oldest connection first.
                    let mut connections = harness.connections.iter_mut();
                    let connection =
                        connections.find(|connection| connection.transient_untaken > 0);
                    connection
                        .into_iter()
                        .for_each(|connection| connection.transient_untaken = 0);
                }
                if harness.reading.transient_told > harness.transient_met {
                    harness.fail("strange-item: a transient error that was not met");
                }
            }
            None => {
                let passes = !harness.ends_are_losses()
                    && harness.live().is_some_and(|connection| connection.fin);
                let is_killed = harness.is_killed;
                harness.check_reading(|reading, connections| match is_killed {
                    true => Ok(()),
                    false => reading.end(connections, passes),
                });
                let is_over = harness.reading.has_ended || passes || is_killed;
                self.reader.is_stopped |= is_over;
            }
        }
        if self.plan.reads_on && !self.reader.is_stopped {
            self.reader.begin(Op::Next);
        }
    }

    fn take_reply(&mut self, id: usize) {
        let mut harness = self.rig.harness();
        if !harness.sending.keeps_unconfirmed {
            return;
        }
        let known = harness.sending.known.max(id + 1);
        harness.sending.known = known;
        match self.plan.confirming {
            Confirming::Elsewhere => {}
            Confirming::Named => {
                let n = harness.take_confirmable();
                drop(harness);
                self.confirm(n, false);
            }
            Confirming::Answered => {
                harness.take_confirmable();
                drop(harness);
                self.confirm(1, true);
            }
        }
    }

    fn confirm(&mut self, n: usize, counts_answers: bool) {
        let confirmations = self.rig.confirmations.get().expect("set at the beginning");
        match (&mut self.halves, counts_answers) {
            (_, _) if n == 0 => {}
            (Halves::Whole(framed), true) => framed.confirm_replies(n),
            (Halves::Whole(framed), false) => framed.confirm(n),
            (Halves::Split(..), true) => {
                confirmations.confirm_replies(n);
                self.has_pending_answers = true;
            }
            (Halves::Split(..), false) => confirmations.confirm(n),
        }
        if let Halves::Whole(framed) = &self.halves {
            newer::check_unconfirmed(&self.rig, framed);
        }
    }

    fn take_generation(&mut self, generation: io::Result<u64>) {
        let mut harness = self.rig.harness();
        match generation {
            Ok(generation) => {
                let live = harness.live().map(|connection| connection.generation);
                if live != Some(generation) {
                    harness.fail(format!("connected: {generation} instead of {live:?}"));
                }
            }
            Err(error) if GaveUp::find(&error).is_some() => self.reader.is_stopped = true,
            Err(error) if error.kind() == TRANSIENT_ATTEMPT => {
                harness.note_surfaced(&CodecError::Io(error));
            }
            Err(_) if harness.is_killed || harness.is_closing => {}
            Err(error) => harness.fail(format!("connected: {error}")),
        }
    }

    pub fn update_slot(&mut self) {
        let harness = self.rig.harness();
        let is_encoded = match self.slot {
            Some(Message::Data { id, .. }) => harness.sending.accepted.len() > id as usize,
            Some(Message::Refused) => harness.refusals_due > 0,
            _ => harness.panics_due > 0,
        };
        if is_encoded {
            drop(harness);
            self.slot = None;
        }
    }

    fn take_panic(&mut self, op: Op) {
        let mut harness = self.rig.harness();
        if harness.panics_due == 0 {
            harness.fail("panic: neither the encoder's nor the observer's");
        }
        harness.panics_due = 0;
        // The panic takes the place of an error that the poll has for its caller.
        harness.transient_attempts = 0;
        let epoch = harness.epoch;
        let is_of_decoder = op == Op::Next && harness.undecoded == Some(epoch);
        harness.check_reading(|reading, connections| {
            if is_of_decoder {
                reading.forgive_poison(connections, epoch);
            }
            Ok(())
        });
    }

    fn take_fed(&mut self, message: Message, flushes: bool, fed: Result<(), CodecError>) {
        match fed {
            Err(error) => self.take_sink_error(Op::Feed { message, flushes }, &error),
            Ok(()) => {
                self.next_id += u32::from(matches!(message, Message::Data { .. }));
                self.slot = matches!(self.halves, Halves::Split(..)).then_some(message);
                if flushes {
                    self.writer.begin(Op::Flush);
                }
            }
        }
    }

    fn take_sink_error(&mut self, op: Op, error: &CodecError) {
        let state = self.rig.handle.get().map(Handle::state);
        let mut harness = self.rig.harness();
        let (is_killed, is_closing) = (harness.is_killed, harness.is_closing);
        harness.note_surfaced(error);
        if GaveUp::find(error).is_some() {
            self.writer.is_stopped = true;
            if !matches!(state, Some(State::GaveUp)) {
                harness.fail(format!("gave-up: {op:?} says so in {state:?}"));
            }
            return;
        }
        match error {
            CodecError::Refused if harness.refusals_due > 0 => harness.refusals_due -= 1,
            _ if is_killed => self.writer.is_stopped = true,
            CodecError::Io(error) if error.kind() == TRANSIENT_WRITE => {
                harness.has_write_error = false;
            }
            CodecError::Io(error) if error.kind() == TRANSIENT_ATTEMPT => {}
            CodecError::Io(error) if error.kind() == TRANSIENT_READ => {
                harness.fail(
                    "sink-error: \"a transient error of the reading side never fails a send\"",
                );
            }
            // A loss has the kind of its cause: a socket says `NotConnected` to a shutdown after a
            // reset.
            CodecError::Io(error)
                if error.kind() == ErrorKind::NotConnected
                    && ConnectionLost::find(error).is_none() =>
            {
                harness.check_refusal(op, state);
            }
            _ if is_closing => {}
            error if ConnectionLost::find(error).is_some() => {
                harness.fail(format!("sink-error: {op:?} fails by a loss"));
            }
            error => harness.fail(format!("sink-error: {op:?} fails: {error}")),
        }
    }
}

/// The close has not ended: it may be called again.
fn is_transient(error: &io::Error) -> bool {
    // `NotConnected`: a message that `SplitSink` held back was refused.
    matches!(
        error.kind(),
        TRANSIENT_READ | TRANSIENT_WRITE | TRANSIENT_ATTEMPT | ErrorKind::NotConnected
    ) && ConnectionLost::find(error).is_none()
        && GaveUp::find(error).is_none()
}
