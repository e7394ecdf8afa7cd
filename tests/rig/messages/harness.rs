//! What the harness notes of messages, and of the errors that callers get.

use reconnecting_stream::{GaveUp, State};

use super::super::classify::TRANSIENT_ATTEMPT;
use super::super::codec::{CodecError, Message, encoded_len};
use super::super::harness::Harness;
use super::super::settings::Offline;
use super::client::Op;

impl Harness {
    /// The caller gets the error of an attempt that the classifier has passed on.
    pub fn note_surfaced(&mut self, error: &CodecError) {
        let is_of_attempt =
            matches!(error, CodecError::Io(error) if error.kind() == TRANSIENT_ATTEMPT);
        if is_of_attempt && GaveUp::find(error).is_none() {
            match self.transient_attempts.checked_sub(1) {
                Some(left) => self.transient_attempts = left,
                None => self.fail("surface: an error of no attempt"),
            }
        }
    }

    /// The sink has answered that there is no connection.
    pub fn check_refusal(&mut self, op: Op, state: Option<State>) {
        let is_refused = self.settings.offline == Offline::Refuse;
        if !is_refused || matches!(state, Some(State::Connected { .. })) {
            self.fail(format!("sink-error: {op:?} is refused in {state:?}"));
        }
    }

    pub fn check_surfaced(&mut self) {
        if self.transient_attempts > 0 {
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
                if let Some(connection) = self
                    .connections
                    .last_mut()
                    .filter(|connection| connection.is_alive())
                {
                    connection.note_arrived();
                }
            }
            // Noted before it was fed: without a connection it may not be encoded at all.
            Message::Transient { .. } | Message::Hello { .. } => {}
        }
    }
}
