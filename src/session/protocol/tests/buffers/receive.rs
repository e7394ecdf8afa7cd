//! What has arrived and is not read.

use super::*;
use crate::session::protocol::receive::RecvBuffer;

/// What a receive buffer has to be like.
struct Model {
    buffer: RecvBuffer,
    window: u64,
    /// Everything before these offsets has been read and has arrived, without the end.
    read: u64,
    arrived: u64,
    end: Option<u64>,
    told: (u64, u64),
}

impl Model {
    fn new(random: &mut Random) -> Self {
        let window = random.between(1, 50);
        Self {
            buffer: RecvBuffer::new(index(window)),
            window,
            read: 0,
            arrived: 0,
            end: None,
            told: (0, 0),
        }
    }

    fn received(&self) -> u64 {
        self.arrived + u64::from(self.end.is_some())
    }

    fn limit(&self) -> u64 {
        self.read + self.window
    }

    fn step(&mut self, random: &mut Random) {
        match random.below(16) {
            0..=7 => self.receive_data(random),
            8..=12 => self.read(random.below(40)),
            13 => {
                self.buffer.on_told();
                self.told = (self.received(), self.limit());
            }
            14 => self.buffer.release_memory(),
            _ => {
                if random.below(4) == 0 {
                    self.receive_fin(random);
                }
            }
        }
    }

    /// A DATA frame, of whose payload a part arrives.
    fn receive_data(&mut self, random: &mut Random) {
        let offset = random.between(self.arrived.saturating_sub(9), self.received() + 1);
        let len = random.below(30);
        let end = offset + len;
        let fits = offset <= self.received()
            && end <= self.limit()
            && self.end.is_none_or(|last| end <= last);
        assert_eq!(self.buffer.on_data(offset, index(len)).is_ok(), fits);
        if !fits {
            return;
        }
        let payload: Vec<_> = (index(offset)..index(end)).map(byte).collect();
        let mut rest = &payload[..index(random.between(0, len))];
        let until = offset + rest.len() as u64;
        while !rest.is_empty() {
            let n = index(random.between(1, rest.len() as u64));
            match self.buffer.space(n) {
                Some(space) if random.below(2) == 0 => {
                    let n = space.len();
                    space.copy_from_slice(&rest[..n]);
                    self.buffer.on_read(n);
                    rest = &rest[n..];
                }
                Some(_) | None => {
                    self.buffer.on_payload(&rest[..n]);
                    rest = &rest[n..];
                }
            }
        }
        self.arrived = self.arrived.max(until);
    }

    fn receive_fin(&mut self, random: &mut Random) {
        let offset = random.between(self.arrived.saturating_sub(1), self.arrived + 1);
        let fits = match self.end {
            Some(end) => end == offset,
            None => offset == self.arrived,
        };
        assert_eq!(self.buffer.on_fin(offset).is_ok(), fits);
        if fits {
            self.end = Some(offset);
        }
    }

    fn read(&mut self, most: u64) {
        let mut into = vec![0; index(most)];
        let n = self.buffer.read(&mut into);
        assert_eq!(n as u64, most.min(self.arrived - self.read));
        let expected: Vec<_> = (index(self.read)..).take(n).map(byte).collect();
        assert_eq!(into[..n], expected);
        self.read += n as u64;
    }

    /// I2, I6 and I7 of `docs/protocol.md`.
    fn check(&self) {
        let buffer = &self.buffer;
        assert_eq!(buffer.received(), self.received());
        assert_eq!(buffer.read_offset(), self.read);
        assert_eq!(buffer.limit(), self.limit());
        assert_eq!(buffer.unread() as u64, self.arrived - self.read);
        assert_eq!(buffer.has_end(), self.end.is_some());
        assert_eq!(buffer.is_at_end(), self.end == Some(self.read));
        assert_eq!(buffer.unacknowledged(), self.received() - self.told.0);
        let growth = self.limit() - self.told.1;
        assert_eq!(buffer.is_window_due(), growth >= (self.window / 4).max(1));
        assert!(self.arrived <= self.limit());
        assert!(buffer.memory() as u64 <= self.window);
    }
}

#[test]
fn a_receive_buffer_holds_what_is_not_read_once_and_in_order() {
    for seed in 0..HISTORIES {
        let mut random = Random(seed);
        let mut model = Model::new(&mut random);
        for _ in 0..100 {
            model.step(&mut random);
            model.check();
        }
    }
}
