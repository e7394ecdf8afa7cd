//! What the peer of a scripted connection does.

use super::classify::{TRANSIENT_READ, TRANSIENT_WRITE};
use super::codec;
use super::connection::{Connection, Wakes};
use super::hook::Act;

impl Connection {
    pub fn act(&mut self, act: Act, epoch: u64) -> Wakes {
        match act {
            Act::Fin => return self.finish(epoch),
            Act::Reset => return self.reset(epoch),
            Act::Items { count, cut } => return self.send_items(count, cut % 5, None, cut),
            Act::Burst { frames } => return self.send_burst(frames),
            Act::Poison => return self.send_poison(),
            Act::Room(bytes) => return self.add_room(bytes),
            Act::Reply => return self.reply().unwrap_or_default(),
            Act::Chunk(bytes) => {
                self.habits.chunk = bytes.max(1);
                return Wakes::default();
            }
            Act::PassingRead => self.transient_read = Some(TRANSIENT_READ),
            Act::PassingWrite => self.transient_write = Some(TRANSIENT_WRITE),
            Act::Fail(op, verdict) => self.failure = Some((op, verdict)),
            Act::StallShutdown(stalls) => self.stalls_shutdown = stalls,
            Act::Confirm | Act::ConfirmReached | Act::Reconnect | Act::MarkLost | Act::Close => {
                unreachable!("not for a peer")
            }
        }
        self.wake_all()
    }

    fn send_burst(&mut self, frames: usize) -> Wakes {
        let wakes = self.wake_all();
        self.habits.chunk = self.habits.chunk.max(1000);
        for _ in 0..frames {
            drop(self.send_items(1, 1000, None, 0));
        }
        wakes
    }

    /// Sends a frame; `cut` bytes of it stay behind until the next one.
    fn send(&mut self, frame: &[u8], cut: usize) -> Wakes {
        if self.has_ended() {
            return Wakes::default();
        }
        let tail = std::mem::take(&mut self.tail);
        self.arrive(&tail);
        let now = frame.len() - cut.min(frame.len());
        self.arrive(&frame[..now]);
        self.tail = frame[now..].to_vec();
        self.wake_reader()
    }

    pub fn send_items(&mut self, count: u8, fill: usize, reply: Option<u32>, cut: usize) -> Wakes {
        if self.has_ended() || self.poison.is_some() {
            return Wakes::default();
        }
        let first = u32::try_from(self.ends.len()).unwrap();
        let connection = u32::try_from(self.generation).unwrap();
        let reply = reply.unwrap_or(codec::NO_REPLY);
        let frame = codec::items(connection, first, count, reply, fill);
        let end = self.arrived + self.tail.len() + frame.len();
        self.ends.extend((0..count).map(|_| end));
        self.send(&frame, cut)
    }

    pub fn send_poison(&mut self) -> Wakes {
        if self.has_ended() || self.poison.is_some() {
            return Wakes::default();
        }
        let frame = codec::poison();
        let end = self.arrived + self.tail.len() + frame.len();
        self.poison = Some((self.ends.len(), end));
        self.send(&frame, 0)
    }

    /// Replies to the next message that has reached the peer.
    pub fn reply(&mut self) -> Option<Wakes> {
        let reached = self.whole_frames_that_left();
        let id = *self.frames.data.get(self.frames.replied)?;
        if self.frames.replied >= reached || self.has_ended() || self.poison.is_some() {
            return None;
        }
        self.frames.replied += 1;
        Some(self.send_items(1, 0, Some(id), 0))
    }

    /// Returns how many frames of data are whole in what has left.
    pub fn whole_frames_that_left(&self) -> usize {
        let (mut at, mut data) = (0, 0);
        while let Some((kind, _, len)) = codec::header(&self.given[at..]) {
            at += codec::HEADER + len;
            if at > self.left {
                break;
            }
            data += usize::from(kind == codec::DATA);
        }
        data
    }

    /// The peer's FIN arrives: only a reader is woken.
    pub fn finish(&mut self, epoch: u64) -> Wakes {
        if self.has_ended() {
            return Wakes::default();
        }
        self.fin = true;
        self.ended = Some(epoch);
        self.wake_reader()
    }

    pub fn reset(&mut self, epoch: u64) -> Wakes {
        if self.reset {
            return Wakes::default();
        }
        self.reset = true;
        self.ended.get_or_insert(epoch);
        if !self.habits.keeps_arrived {
            self.arriving.clear();
            self.must = self.must.min(self.consumed);
        }
        self.wake_all()
    }

    pub fn add_room(&mut self, bytes: usize) -> Wakes {
        self.habits.room = self.habits.room.saturating_add(bytes);
        Wakes([None, self.writer.take()])
    }
}
