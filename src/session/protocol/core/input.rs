//! What a connection brings.

use std::time::Instant;

use super::{Core, Outcome, Role};
use crate::session::protocol::decoder::Piece;
use crate::session::protocol::error::{ProtocolError, Reason};
use crate::session::protocol::frame::Frame;

impl Core {
    /// Handles bytes from the connection of this epoch.
    ///
    /// # Errors
    ///
    /// The peer has broken the protocol, which detaches the connection, or the connection was
    /// replaced, and nothing changes. The owner drops it. Nothing of a wrong frame takes effect.
    pub(crate) fn handle_input(
        &mut self,
        now: Instant,
        epoch: u64,
        input: &[u8],
    ) -> Result<(), ProtocolError> {
        let attachment = self.attachment.as_mut();
        let attachment = attachment.filter(|attachment| attachment.epoch == epoch);
        let attachment = attachment.ok_or(ProtocolError::StaleConnection)?;
        if !input.is_empty() {
            attachment.on_input(now);
        }
        let handled = self.handle_frames(input);
        match handled {
            Ok(()) => self.schedule_ack(now),
            Err(_) => self.detach(now),
        }
        handled
    }

    fn handle_frames(&mut self, mut input: &[u8]) -> Result<(), ProtocolError> {
        while self.outcome.is_none() && !input.is_empty() {
            let Some(attachment) = &mut self.attachment else {
                break;
            };
            match attachment.decoder.next(&mut input)? {
                Some(Piece::Frame(frame)) => self.on_frame(frame)?,
                Some(Piece::Payload(payload)) => self.recv.on_payload(payload),
                None => break,
            }
            self.check_end();
        }
        Ok(())
    }

    fn on_frame(&mut self, frame: Frame) -> Result<(), ProtocolError> {
        match frame {
            Frame::Data { offset, len } => self.recv.on_data(offset, len)?,
            Frame::Ack { received, limit } => self.send.on_ack(received, limit)?,
            Frame::Fin { offset } => {
                self.recv.on_fin(offset)?;
                if let Some(attachment) = &mut self.attachment {
                    attachment.is_ack_due = true;
                }
            }
            Frame::Ping { token } => {
                if let Some(attachment) = &mut self.attachment {
                    attachment.pong = Some(token);
                    // What the application reads a little at a time is told while the connection is
                    // silent.
                    attachment.is_ack_due |= self.recv.has_window_grown();
                }
            }
            Frame::Pong { .. } => {}
            Frame::Reset { code } => self.lose(Reason::from_code(code)),
            Frame::Done => match self.role {
                Role::Dialer => self.complete()?,
                Role::Acceptor => return Err(ProtocolError::NotComplete),
            },
        }
        // Not before the frame was checked: a wrong one changes nothing.
        self.is_confirmed = true;
        Ok(())
    }

    /// Returns how many bytes of a payload follow on the connection.
    pub(crate) fn payload_rest(&self) -> usize {
        let attachment = self.attachment.as_ref();
        attachment.map_or(0, |attachment| attachment.decoder.payload_rest())
    }

    /// Returns memory that the next bytes of the connection of this epoch may be read into, if they
    /// are bytes of a payload that have not arrived before. [`on_read`](Self::on_read) tells how many
    /// were read.
    pub(crate) fn space(&mut self, epoch: u64) -> Option<&mut [u8]> {
        let attachment = self.attachment.as_ref();
        let attachment = attachment.filter(|attachment| attachment.epoch == epoch)?;
        let rest = attachment.decoder.payload_rest();
        if rest == 0 || self.outcome.is_some() {
            return None;
        }
        self.recv.space(rest)
    }

    /// Handles the first `n` bytes of [`space`](Self::space), which were read into it.
    pub(crate) fn on_read(&mut self, now: Instant, n: usize) {
        if let Some(attachment) = &mut self.attachment {
            attachment.on_input(now);
            attachment.decoder.on_payload(n);
            self.recv.on_read(n);
            self.check_end();
            self.schedule_ack(now);
        }
    }

    /// Acknowledges what has arrived: after many bytes now, after few a little later.
    fn schedule_ack(&mut self, now: Instant) {
        let unacknowledged = self.recv.unacknowledged();
        if let Some(attachment) = &mut self.attachment {
            // An acknowledgment is never acknowledged.
            if unacknowledged >= self.options.ack_after.max(1) {
                attachment.is_ack_due = true;
                attachment.ack_at = None;
            } else if unacknowledged > 0 {
                attachment.schedule_ack(now, &self.options);
            }
        }
        debug_assert!(self.outcome != Some(Outcome::Complete) || self.recv.has_end());
    }
}
