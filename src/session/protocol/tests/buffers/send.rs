//! What was written and is not acknowledged.

use super::*;
use crate::session::protocol::frame::MAX_PAYLOAD;
use crate::session::protocol::send::SendBuffer;

/// What a send buffer has to be like.
struct Model {
    buffer: SendBuffer,
    capacity: u64,
    acknowledged: u64,
    sent: u64,
    most_sent: u64,
    written: u64,
    is_finished: bool,
    limit: u64,
}

impl Model {
    fn new(random: &mut Random) -> Self {
        let capacity = random.between(1, 50);
        Self {
            buffer: SendBuffer::new(index(capacity)),
            capacity,
            acknowledged: 0,
            sent: 0,
            most_sent: 0,
            written: 0,
            is_finished: false,
            limit: 0,
        }
    }

    /// The end of everything that is to be acknowledged.
    fn end(&self) -> u64 {
        self.written + u64::from(self.is_finished)
    }

    fn kept(&self) -> u64 {
        self.written - self.acknowledged.min(self.written)
    }

    /// Returns false if the session is lost.
    fn step(&mut self, random: &mut Random) -> bool {
        match random.below(20) {
            0..=5 => self.write(random.below(40)),
            6..=11 => self.send(random),
            12..=16 => {
                let received = random.between(self.acknowledged.saturating_sub(1), self.sent + 1);
                self.ack(received, random.below(self.written + 60));
            }
            17 => return self.begin_connection(random),
            18 => self.buffer.release_memory(),
            _ => {
                if random.below(4) == 0 {
                    self.buffer.finish();
                    self.is_finished = true;
                }
            }
        }
        true
    }

    fn write(&mut self, len: u64) {
        let room = match self.is_finished {
            true => 0,
            false => self.capacity - self.kept(),
        };
        assert_eq!(self.buffer.room() as u64, room);
        let bytes: Vec<_> = (self.written..self.written + len)
            .map(|offset| byte(index(offset)))
            .collect();
        let taken = self.buffer.write(&bytes) as u64;
        assert_eq!(taken, len.min(room));
        self.written += taken;
    }

    /// Hands a part of what is due to the connection.
    fn send(&mut self, random: &mut Random) {
        let end = self.written.min(self.limit);
        let is_fin_due = self.is_finished && self.sent == self.written;
        assert_eq!(self.buffer.is_fin_due(), is_fin_due);
        let Some((offset, len)) = self.buffer.next_data() else {
            assert!(self.sent >= end, "there is something to send");
            if is_fin_due {
                self.buffer.on_fin_sent();
                self.sent += 1;
            }
            return;
        };
        assert_eq!((offset, offset + len as u64), (self.sent, end));
        assert!(len <= MAX_PAYLOAD);
        let (first, second) = self.buffer.unsent(0, len);
        let expected: Vec<_> = (index(offset)..).take(len).map(byte).collect();
        assert_eq!([first, second].concat(), expected);
        let taken = random.between(0, len as u64);
        self.buffer.on_sent(index(taken));
        self.sent += taken;
    }

    fn ack(&mut self, received: u64, limit: u64) {
        let before = self.buffer.clone();
        let fits = (self.acknowledged..=self.sent).contains(&received);
        assert_eq!(self.buffer.on_ack(received, limit).is_ok(), fits);
        if fits {
            self.acknowledged = received;
            self.limit = self.limit.max(limit);
        } else {
            assert_eq!(self.buffer, before, "nothing of it takes effect");
        }
    }

    fn begin_connection(&mut self, random: &mut Random) -> bool {
        let least = self
            .acknowledged
            .saturating_sub(u64::from(random.below(9) == 0));
        let most = self.most_sent + u64::from(random.below(9) == 0);
        let received = random.between(least, most);
        let fits = (self.acknowledged..=self.most_sent).contains(&received);
        let limit = random.below(self.written + 60);
        assert_eq!(self.buffer.begin_connection(received, limit).is_ok(), fits);
        (self.acknowledged, self.sent) = (received, received);
        self.limit = self.limit.max(limit);
        fits
    }

    /// I2, I3 and I6 of `docs/protocol.md`.
    fn check(&mut self) {
        self.most_sent = self.most_sent.max(self.sent);
        let buffer = &self.buffer;
        assert_eq!(buffer.acknowledged(), self.acknowledged);
        assert_eq!(buffer.most_sent(), self.most_sent);
        assert_eq!(buffer.written(), self.written);
        assert_eq!(buffer.unacknowledged() as u64, self.kept());
        assert_eq!(buffer.is_finished(), self.is_finished);
        assert_eq!(
            buffer.is_flushed(),
            self.sent >= self.written.min(self.limit)
        );
        let is_complete = self.is_finished && self.acknowledged == self.end();
        assert_eq!(buffer.is_complete(), is_complete);
        assert!(self.acknowledged <= self.sent && self.most_sent <= self.end());
        assert!(self.most_sent.min(self.written) <= self.limit);
        assert!(self.kept() <= self.capacity);
        assert!(buffer.memory() as u64 <= self.capacity);
    }
}

#[test]
fn a_send_buffer_holds_what_is_not_acknowledged_and_sends_what_is_permitted() {
    for seed in 0..HISTORIES {
        let mut random = Random(seed);
        let mut model = Model::new(&mut random);
        for _ in 0..100 {
            if !model.step(&mut random) {
                break;
            }
            model.check();
        }
    }
}

#[test]
fn a_send_buffer_that_is_cleared_holds_nothing_and_sends_nothing() {
    let mut buffer = SendBuffer::new(10);
    buffer.write(b"abc");
    buffer.finish();
    buffer.begin_connection(0, 100).unwrap();
    buffer.on_sent(2);
    buffer.clear();
    assert_eq!((buffer.unacknowledged(), buffer.memory()), (0, 0));
    assert_eq!((buffer.next_data(), buffer.is_fin_due()), (None, false));
}
