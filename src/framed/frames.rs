//! Whole frames, encoded, in a queue.

use bytes::{Buf, BytesMut};

/// Whether a message belongs to the stream, or to one connection alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    Durable,
    /// Never sent again and never confirmed.
    Transient,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) len: usize,
    pub(super) durability: Durability,
}

/// Frames in order. Adding one has to be cheaper than removing it, which happens in batches:
/// `tools/benches/instructions` counts a fed message.
#[derive(Debug, Default)]
pub(super) struct Frames {
    all: Vec<Frame>,
    /// How many of `all` were removed. At most half of them.
    removed: usize,
}

impl Frames {
    #[inline]
    pub(super) fn push_back(&mut self, frame: Frame) {
        self.all.push(frame);
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.all.len() - self.removed
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn front(&self) -> Option<&Frame> {
        self.all.get(self.removed)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Frame> {
        self.all[self.removed..].iter()
    }

    pub(super) fn pop_front(&mut self) -> Option<Frame> {
        let frame = self.front().copied()?;
        self.removed += 1;
        if 2 * self.removed > self.all.len() {
            self.all.drain(..self.removed);
            self.removed = 0;
        }
        Some(frame)
    }

    pub(super) fn remove(&mut self, index: usize) -> Option<Frame> {
        (index < self.len()).then(|| self.all.remove(self.removed + index))
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.removed = 0;
    }
}

/// Whole frames, encoded, one behind the other.
#[derive(Debug, Default)]
pub(super) struct FrameQueue {
    /// The concatenation of the frames.
    pub(super) bytes: BytesMut,
    pub(super) frames: Frames,
    pub(super) transient: Tally,
}

/// The transient frames among those of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

impl FrameQueue {
    pub(super) fn push(&mut self, bytes: &[u8], durability: Durability) {
        self.bytes.extend_from_slice(bytes);
        let len = bytes.len();
        self.frames.push_back(Frame { len, durability });
    }

    pub(super) fn pop_front(&mut self) {
        if let Some(Frame { len, durability }) = self.frames.pop_front() {
            self.bytes.advance(len);
            self.transient.subtract(durability, len);
        }
    }

    /// Removes the frames at the front that are complete within `bytes`, and returns how long they
    /// are together. `on_frame` gets each of them.
    pub(super) fn pop_complete(
        &mut self,
        bytes: usize,
        mut on_frame: impl FnMut(Frame, &[u8]),
    ) -> usize {
        let mut end = 0;
        while let Some(&frame) = self.frames.front() {
            let next = end + frame.len;
            if next > bytes {
                break;
            }
            on_frame(frame, &self.bytes[end..next]);
            self.frames.pop_front();
            self.transient.subtract(frame.durability, frame.len);
            end = next;
        }
        // Once for all of them, because each call moves the start of the allocation.
        self.bytes.advance(end);
        end
    }

    /// Removes the frame at an index. Returns false if there is none.
    pub(super) fn remove(&mut self, index: usize) -> bool {
        let start: usize = self.frames.iter().take(index).map(|frame| frame.len).sum();
        let Some(Frame { len, durability }) = self.frames.remove(index) else {
            return false;
        };
        if start == 0 {
            self.bytes.advance(len);
        } else {
            let behind = self.bytes.split_off(start + len);
            self.bytes.truncate(start);
            self.bytes.extend_from_slice(&behind);
        }
        self.transient.subtract(durability, len);
        true
    }

    #[inline]
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
        self.transient = Tally::default();
    }

    /// Short queues are checked whole; for long ones that would make a debug build quadratic.
    pub(super) fn is_consistent(&self) -> bool {
        if self.frames.len() > 64 {
            return true;
        }
        let mut transient = Tally::default();
        for frame in self
            .frames
            .iter()
            .filter(|frame| frame.durability == Durability::Transient)
        {
            transient.add(frame.len);
        }
        let bytes: usize = self.frames.iter().map(|frame| frame.len).sum();
        bytes == self.bytes.len() && transient == self.transient
    }
}

impl Tally {
    pub(super) fn add(&mut self, len: usize) {
        self.frames += 1;
        self.bytes += len;
    }

    fn subtract(&mut self, durability: Durability, len: usize) {
        if durability == Durability::Transient {
            self.frames -= 1;
            self.bytes -= len;
        }
    }
}

/// Removes what an encoder has written unless it finishes: it may fail or panic.
pub(super) struct EncodeGuard<'a> {
    pub(super) before: usize,
    pub(super) bytes: &'a mut BytesMut,
}

impl EncodeGuard<'_> {
    #[inline]
    pub(super) fn finish(self) -> usize {
        let len = self.bytes.len() - self.before;
        std::mem::forget(self);
        len
    }
}

impl Drop for EncodeGuard<'_> {
    fn drop(&mut self) {
        self.bytes.truncate(self.before);
    }
}
