//! The application at one end: it writes so much, finishes, and reads to the end.

use crate::session::protocol::core::Core;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct App {
    /// What it writes, and how much of it is written.
    total: u64,
    written: u64,
    is_finished: bool,
    /// What it has read.
    pub(super) read: u64,
    has_end: bool,
    /// It does not read before it has written everything.
    pub(super) writes_first: bool,
    /// No read or write moves more.
    pub(super) chunk: usize,
}

/// Returns the byte at this offset of what an application writes.
fn byte(offset: u64) -> u8 {
    let [low, high, ..] = offset.to_le_bytes();
    low ^ high.wrapping_mul(31) ^ 0x5a
}

impl App {
    pub(super) fn new(total: u64) -> Self {
        Self {
            total,
            written: 0,
            is_finished: false,
            read: 0,
            has_end: false,
            writes_first: false,
            chunk: usize::MAX,
        }
    }

    pub(super) fn has_all(&self) -> bool {
        self.is_finished && self.has_end
    }

    /// One step; false if there is none.
    pub(super) fn step(&mut self, core: &mut Core, fault: &mut Option<&'static str>) -> bool {
        if self.written < self.total {
            let room = core.send().room() as u64;
            let n = room.min(self.total - self.written).min(self.chunk as u64);
            let bytes: Vec<_> = (self.written..self.written + n).map(byte).collect();
            let taken = core.write(&bytes);
            self.written += taken as u64;
            if taken > 0 {
                return true;
            }
        } else if !self.is_finished {
            core.finish();
            self.is_finished = true;
            return true;
        }
        if self.writes_first && !self.is_finished {
            return false;
        }
        self.read(core, fault)
    }

    fn read(&mut self, core: &mut Core, fault: &mut Option<&'static str>) -> bool {
        let mut into = [0; 64];
        let most = into.len().min(self.chunk);
        let n = core.read(&mut into[..most]);
        for got in &into[..n] {
            if *got != byte(self.read) {
                *fault = Some("I1: what was read is not what was written");
            }
            self.read += 1;
        }
        let ends = core.recv().is_at_end() && !self.has_end;
        self.has_end |= ends;
        n > 0 || ends
    }
}
