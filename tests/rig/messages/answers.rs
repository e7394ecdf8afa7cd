//! What the answers of the client may be.

use std::io::{self, ErrorKind};

use reconnecting_stream::{ConnectionLost, GaveUp, Handle, State};

use super::super::classify::{PASSING_ATTEMPT, PASSING_READ, PASSING_WRITE};
use super::super::codec::{CodecError, Item, Message, encoded_len};
use super::super::settings::Offline;
use super::super::world::World;
use super::client::{Answer, Client, Halves, Op};
use super::newer;
use super::plan::Confirming;

impl Client {
    pub fn take(&mut self, op: Op, answer: Answer) {
        if !matches!(answer, Answer::Item(_) | Answer::Generation(_)) {
            self.update_slot();
        }
        match (answer, op) {
            (Answer::Item(item), _) => self.take_item(item),
            (Answer::Generation(generation), _) => self.take_generation(generation),
            (Answer::Fed(fed), Op::Feed { message, flushes }) => {
                self.take_fed(message, flushes, fed);
            }
            (Answer::Flushed(Ok(())), _) => self.rig.world().judge_flush(),
            (Answer::Flushed(Err(error)), _) => self.take_sink_error(op, &error),
            (Answer::Closed(Err(CodecError::Io(error))), _) if is_transient(&error) => {
                self.take_sink_error(op, &CodecError::Io(error));
            }
            (Answer::Closed(Err(CodecError::Refused)), _) => {
                // A message that `SplitSink` held back failed, and the close has not begun.
                let refused = CodecError::Refused;
                self.take_sink_error(op, &refused);
            }
            (Answer::Closed(Err(error)), _) if GaveUp::find(&error).is_some() => {
                self.close_gave_up = true;
                // "`handle.reconnect()` starts afresh also after a close was tried."
                self.take_sink_error(op, &error);
            }
            (Answer::Closed(closed), _) => {
                self.close_answered = true;
                self.writer.is_stopped = true;
                match closed {
                    Ok(()) => self.rig.world().judge_close(),
                    Err(error) => self.take_sink_error(op, &error),
                }
            }
            (Answer::Fed(Err(error)), Op::FeedTransient(_)) => self.take_sink_error(op, &error),
            (Answer::Fed(Ok(())), Op::FeedTransient(_)) => {}
            (Answer::Panicked, _) => self.take_panic(op),
            (Answer::Fed(_), _) => unreachable!("only what was fed"),
        }
    }

    fn take_item(&mut self, item: Option<Result<Item, CodecError>>) {
        let mut world = self.rig.world();
        match item {
            Some(Ok(item)) => {
                world.judge_reading(|reading, lines| reading.item(lines, item));
                drop(world);
                if let Some(id) = item.reply {
                    self.take_reply(id as usize);
                }
            }
            Some(Err(error)) => {
                self.reader.is_stopped |= GaveUp::find(&error).is_some() || world.is_killed;
                world.judge_reading(|reading, lines| reading.error(lines, &error));
                world.note_surfaced(&error);
                let is_transient = matches!(&error, CodecError::Io(error) if is_transient(error));
                if is_transient {
                    // The reader takes those of the oldest connection first.
                    let mut lines = world.lines.iter_mut();
                    let line = lines.find(|line| line.passing_untaken > 0);
                    line.into_iter().for_each(|line| line.passing_untaken = 0);
                }
                if world.reading.passing_told > world.passing_met {
                    world.fail("strange-item: a passing error that was not met");
                }
            }
            None => {
                let passes = !world.ends_are_losses() && world.live().is_some_and(|line| line.fin);
                let is_killed = world.is_killed;
                world.judge_reading(|reading, lines| match is_killed {
                    true => Ok(()),
                    false => reading.end(lines, passes),
                });
                let is_over = world.reading.has_ended || passes || is_killed;
                self.reader.is_stopped |= is_over;
            }
        }
        if self.plan.reads_on && !self.reader.is_stopped {
            self.reader.begin(Op::Next);
        }
    }

    fn take_reply(&mut self, id: usize) {
        let mut world = self.rig.world();
        if !world.sending.keeps_unconfirmed {
            return;
        }
        let known = world.sending.known.max(id + 1);
        world.sending.known = known;
        match self.plan.confirming {
            Confirming::Elsewhere => {}
            Confirming::Named => {
                let n = world.take_confirmable();
                drop(world);
                self.confirm(n, false);
            }
            Confirming::Answered => {
                world.take_confirmable();
                drop(world);
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
        let mut world = self.rig.world();
        match generation {
            Ok(generation) => {
                let live = world.live().map(|line| line.generation);
                if live != Some(generation) {
                    world.fail(format!("connected: {generation} instead of {live:?}"));
                }
            }
            Err(error) if GaveUp::find(&error).is_some() => self.reader.is_stopped = true,
            Err(error) if error.kind() == PASSING_ATTEMPT => {
                world.note_surfaced(&CodecError::Io(error));
            }
            Err(_) if world.is_killed || world.is_closing => {}
            Err(error) => world.fail(format!("connected: {error}")),
        }
    }

    pub fn update_slot(&mut self) {
        let world = self.rig.world();
        let is_encoded = match self.slot {
            Some(Message::Data { id, .. }) => world.sending.accepted.len() > id as usize,
            Some(Message::Refused) => world.refusals_due > 0,
            _ => world.panics_due > 0,
        };
        if is_encoded {
            drop(world);
            self.slot = None;
        }
    }

    fn take_panic(&mut self, op: Op) {
        let mut world = self.rig.world();
        if world.panics_due == 0 {
            world.fail("panic: neither the encoder's nor the observer's");
        }
        world.panics_due = 0;
        // The panic takes the place of an error that the poll has for its caller.
        world.passing_attempts = 0;
        let epoch = world.epoch;
        let is_of_decoder = op == Op::Next && world.undecoded == Some(epoch);
        world.judge_reading(|reading, lines| {
            if is_of_decoder {
                reading.forgive_poison(lines, epoch);
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
        let mut world = self.rig.world();
        let (is_killed, is_closing) = (world.is_killed, world.is_closing);
        world.note_surfaced(error);
        if GaveUp::find(error).is_some() {
            self.writer.is_stopped = true;
            if !matches!(state, Some(State::GaveUp)) {
                world.fail(format!("gave-up: {op:?} says so in {state:?}"));
            }
            return;
        }
        match error {
            CodecError::Refused if world.refusals_due > 0 => world.refusals_due -= 1,
            _ if is_killed => self.writer.is_stopped = true,
            CodecError::Io(error) if error.kind() == PASSING_WRITE => {
                world.has_write_error = false;
            }
            CodecError::Io(error) if error.kind() == PASSING_ATTEMPT => {}
            CodecError::Io(error) if error.kind() == PASSING_READ => {
                world
                    .fail("sink-error: \"a passing error of the reading side never fails a send\"");
            }
            // A loss has the kind of its cause: a socket says `NotConnected` to a shutdown after a
            // reset.
            CodecError::Io(error)
                if error.kind() == ErrorKind::NotConnected
                    && ConnectionLost::find(error).is_none() =>
            {
                world.judge_refusal(op, state);
            }
            _ if is_closing => {}
            error if ConnectionLost::find(error).is_some() => {
                world.fail(format!("sink-error: {op:?} fails by a loss"));
            }
            error => world.fail(format!("sink-error: {op:?} fails: {error}")),
        }
    }
}

/// The close has not ended: it may be called again.
fn is_transient(error: &io::Error) -> bool {
    // `NotConnected`: a message that `SplitSink` held back was refused.
    matches!(
        error.kind(),
        PASSING_READ | PASSING_WRITE | PASSING_ATTEMPT | ErrorKind::NotConnected
    ) && ConnectionLost::find(error).is_none()
        && GaveUp::find(error).is_none()
}

impl World {
    /// The caller gets the error of an attempt that the classifier has passed on.
    fn note_surfaced(&mut self, error: &CodecError) {
        let is_of_attempt =
            matches!(error, CodecError::Io(error) if error.kind() == PASSING_ATTEMPT);
        if is_of_attempt && GaveUp::find(error).is_none() {
            match self.passing_attempts.checked_sub(1) {
                Some(left) => self.passing_attempts = left,
                None => self.fail("surface: an error of no attempt"),
            }
        }
    }

    /// The sink has answered that there is no connection.
    fn judge_refusal(&mut self, op: Op, state: Option<State>) {
        let is_refused = self.settings.offline == Offline::Refuse;
        if !is_refused || matches!(state, Some(State::Connected { .. })) {
            self.fail(format!("sink-error: {op:?} is refused in {state:?}"));
        }
    }

    pub fn check_surfaced(&mut self) {
        if self.passing_attempts > 0 {
            self.fail("surface: the caller did not get the error of the attempt");
        }
    }

    /// The encoder got a message: the sink accepts it, unless the encoder fails.
    pub fn accept_message(&mut self, message: Message) {
        match message {
            Message::Data { id, len } => {
                self.check_room();
                if self.sending.accepted.len() != id as usize {
                    self.fail(format!("accept-order: message {id}"));
                }
                self.sending.accepted.push(encoded_len(len));
            }
            Message::Refused => self.refusals_due += 1,
            Message::Panics => {
                self.panics_due += 1;
                // It drops the connection: what has arrived before is delivered.
                if let Some(line) = self.lines.last_mut().filter(|line| line.is_alive()) {
                    line.note_arrived();
                }
            }
            // Noted before it was fed: without a connection it may not be encoded at all.
            Message::Transient { .. } | Message::Hello { .. } => {}
        }
    }
}
