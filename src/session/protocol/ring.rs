//! A queue of bytes in one piece of memory.

use std::fmt;
use std::hash::{Hash, Hasher};

/// Bytes that are appended at the end and removed from the start. Two rings are equal if their bytes
/// are.
#[derive(Clone, Default)]
pub(super) struct Ring {
    memory: Box<[u8]>,
    /// Where the first byte is. 0 if there is none, so that few bytes use little of the cache.
    start: usize,
    len: usize,
}

impl Ring {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns how much memory it has, in bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.memory.len()
    }

    /// Returns the bytes, in two parts.
    #[inline]
    pub(super) fn as_slices(&self) -> (&[u8], &[u8]) {
        match self.memory.get(self.start..self.start + self.len) {
            Some(bytes) => (bytes, &[]),
            None => {
                let (second, first) = self.memory.split_at(self.start);
                (first, &second[..self.len - first.len()])
            }
        }
    }

    /// Appends `more`, which there is room for within `most`.
    #[inline]
    pub(super) fn append(&mut self, more: &[u8], most: usize) {
        self.reserve(more.len(), most);
        let end = self.end();
        match self.memory.get_mut(end..end + more.len()) {
            Some(space) => space.copy_from_slice(more),
            None => {
                let (first, second) = more.split_at(self.memory.len() - end);
                self.memory[end..].copy_from_slice(first);
                self.memory[..second.len()].copy_from_slice(second);
            }
        }
        self.len += more.len();
    }

    /// Returns memory for up to `more` bytes behind the last one, which there is room for within
    /// `most`. [`extend`](Self::extend) appends them once they are there.
    pub(super) fn spare(&mut self, more: usize, most: usize) -> &mut [u8] {
        self.reserve(more, most);
        let end = self.end();
        let spare = more.min(self.memory.len() - end);
        &mut self.memory[end..][..spare]
    }

    /// Appends the first `n` bytes of [`spare`](Self::spare).
    pub(super) fn extend(&mut self, n: usize) {
        debug_assert!(self.len + n <= self.memory.len());
        self.len += n;
    }

    /// Removes the first `n` bytes.
    #[inline]
    pub(super) fn consume(&mut self, n: usize) {
        self.len -= n;
        self.start = if self.len == 0 {
            0
        } else {
            self.wrap(self.start + n)
        };
    }

    /// Removes all bytes and frees the memory.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Frees the memory if there are no bytes.
    pub(super) fn release_memory(&mut self) {
        if self.len == 0 {
            self.clear();
        }
    }

    /// Makes room for `more` bytes. The memory is doubled when it does not suffice, and never grows
    /// beyond `most`.
    #[inline]
    fn reserve(&mut self, more: usize, most: usize) {
        let needed = self.len + more;
        if needed > self.memory.len() {
            self.grow(needed.max((2 * self.memory.len()).min(most)));
        }
    }

    #[cold]
    fn grow(&mut self, capacity: usize) {
        let mut memory = vec![0; capacity].into_boxed_slice();
        let (first, second) = self.as_slices();
        memory[..first.len()].copy_from_slice(first);
        memory[first.len()..][..second.len()].copy_from_slice(second);
        (self.memory, self.start) = (memory, 0);
    }

    /// Returns where the next byte is appended.
    #[inline]
    fn end(&self) -> usize {
        self.wrap(self.start + self.len)
    }

    #[inline]
    fn wrap(&self, index: usize) -> usize {
        if index < self.memory.len() {
            index
        } else {
            index - self.memory.len()
        }
    }
}

impl PartialEq for Ring {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Ring {}

impl Hash for Ring {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len.hash(state);
        self.iter().for_each(|byte| byte.hash(state));
    }
}

impl Ring {
    fn iter(&self) -> impl Iterator<Item = &u8> {
        let (first, second) = self.as_slices();
        first.iter().chain(second)
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("len", &self.len)
            .field("memory", &self.memory.len())
            .finish_non_exhaustive()
    }
}
