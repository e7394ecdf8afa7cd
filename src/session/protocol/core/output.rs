//! What is to be written to a connection.

use std::mem;

use super::{Core, Outcome};
use crate::session::protocol::behind::Behind;
use crate::session::protocol::frame::{Frame, Head};

/// Bytes to write: frames without payload, then the payload of the last one, in two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transmit<'a> {
    pub(crate) slices: [&'a [u8]; 3],
    /// What the same write may take, too.
    pub(crate) behind: Behind<'a>,
}

#[cfg(test)]
impl Transmit<'_> {
    /// Returns the bytes, with the frames behind them.
    pub(crate) fn all(&self) -> Vec<u8> {
        let mut all = self.slices.concat();
        for (head, payload) in self.behind.frames() {
            all.extend([head.as_slice(), payload[0], payload[1]].concat());
        }
        all
    }
}

/// What of a batch of frames was not written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Output {
    head: Head,
    /// How much of `head` was written.
    written: usize,
    /// How many bytes of the send buffer follow.
    payload: usize,
    /// It is the answer of the handshake alone: the first frames are appended, so that one write takes
    /// both.
    is_answer: bool,
}

impl Output {
    pub(super) fn new(answer: &[u8]) -> Self {
        let mut head = Head::EMPTY;
        head.put(answer);
        Self {
            head,
            written: 0,
            payload: 0,
            is_answer: true,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.written == self.head.len() && self.payload == 0
    }

    /// Drops what was not written.
    pub(super) fn clear(&mut self) {
        self.head.clear();
        (self.written, self.payload) = (0, 0);
        self.is_answer = false;
    }
}

impl Core {
    /// Returns bytes to write to the connection; `None` if there are none now. Call
    /// [`advance`](Self::advance) with the number of bytes that the connection has taken.
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        let output = &mut self.attachment.as_mut()?.output;
        if output.is_empty() {
            output.clear();
            self.fill();
        } else if mem::take(&mut output.is_answer) {
            self.fill();
        }
        let output = &self.attachment.as_ref()?.output;
        if output.is_empty() {
            return None;
        }
        let head = &output.head.as_slice()[output.written..];
        let (first, second) = match output.payload {
            0 => (&[][..], &[][..]),
            len => self.send.unsent(0, len),
        };
        Some(Transmit {
            slices: [head, first, second],
            behind: Behind::new(self),
        })
    }

    /// Returns how many bytes of payload the next frame has, if others may go behind it. None may
    /// behind one that has begun, nor if something goes before data that is due (R3), nor at the end.
    pub(crate) fn payload_to_begin(&self) -> Option<usize> {
        let attachment = self.attachment.as_ref()?;
        let output = &attachment.output;
        let is_next = output.written == 0 && output.payload > 0 && self.outcome.is_none();
        (is_next && !attachment.has_due()).then_some(output.payload)
    }

    /// Returns whether [`poll_transmit`](Self::poll_transmit) would return bytes of what an
    /// application does: data, the end of the stream, a reset, or a permission to send more.
    pub(crate) fn has_transmit(&self) -> bool {
        let Some(attachment) = &self.attachment else {
            return false;
        };
        match self.outcome {
            Some(_) => attachment.reset.is_some() || attachment.is_done_due,
            None => {
                self.recv.is_window_due()
                    || self.send.is_fin_due()
                    || self.send.next_data().is_some()
            }
        }
    }

    /// Records that the connection has taken the first `n` of the bytes to write. Of the frames
    /// behind the first one, those that it has not begun to take are forgotten.
    #[inline]
    pub(crate) fn advance(&mut self, n: usize) {
        let Some(attachment) = &mut self.attachment else {
            return;
        };
        let output = &mut attachment.output;
        let in_head = n.min(output.head.len() - output.written);
        let in_payload = (n - in_head).min(output.payload);
        output.written += in_head;
        output.payload -= in_payload;
        self.send.on_sent(in_payload);
        if in_head + in_payload < n {
            self.advance_behind(n - in_head - in_payload);
        }
    }

    /// The same for the frames behind the first one.
    #[cold]
    fn advance_behind(&mut self, n: usize) {
        let Some(attachment) = &mut self.attachment else {
            return;
        };
        let output = &mut attachment.output;
        output.clear();
        if let Some((offset, len)) = self.send.next_data() {
            let len = len.min(self.options.max_payload);
            Frame::Data { offset, len }.encode(&mut output.head);
            output.payload = len;
            self.advance(n);
        }
    }

    /// Appends the frames that are due: those without payload first (R3), so that none of them waits
    /// for more DATA frames than one write takes.
    fn fill(&mut self) {
        let Some(attachment) = &mut self.attachment else {
            return;
        };
        if self.outcome.is_some() {
            return self.fill_last();
        }
        let head = &mut attachment.output.head;
        let most = self.options.max_payload;
        let data = self.send.next_data();
        let data = data.map(|(offset, len)| (offset, len.min(most)));
        // It was asked for, it can go with data, or the peer may wait for it.
        let is_ack_due = attachment.is_ack_due
            || (data.is_some() && self.recv.unacknowledged() > 0)
            || self.recv.is_window_due();
        if is_ack_due {
            attachment.is_ack_due = false;
            attachment.ack_at = None;
            self.recv.on_told();
            let (received, limit) = (self.recv.received(), self.recv.limit());
            Frame::Ack { received, limit }.encode(head);
        }
        if let Some(token) = attachment.pong.take() {
            Frame::Pong { token }.encode(head);
        }
        if mem::take(&mut attachment.is_ping_due) {
            Frame::Ping { token: 0 }.encode(head);
        }
        if let Some((offset, len)) = data {
            Frame::Data { offset, len }.encode(head);
            attachment.output.payload = len;
        } else if self.send.is_fin_due() {
            let offset = self.send.written();
            Frame::Fin { offset }.encode(head);
            self.send.on_fin_sent();
        }
    }

    /// Appends the last frames of a session that has ended.
    fn fill_last(&mut self) {
        let Some(attachment) = &mut self.attachment else {
            return;
        };
        let head = &mut attachment.output.head;
        match self.outcome {
            Some(Outcome::Complete) if mem::take(&mut attachment.is_done_due) => {
                let (received, limit) = (self.recv.received(), self.recv.limit());
                Frame::Ack { received, limit }.encode(head);
                Frame::Done.encode(head);
            }
            Some(Outcome::Lost(_)) => {
                if let Some(code) = attachment.reset.take() {
                    Frame::Reset { code }.encode(head);
                }
            }
            Some(Outcome::Complete) | None => {}
        }
    }
}
