//! The memory of a buffer.

use std::collections::VecDeque;

/// Appends `more`, which there is room for within `capacity`. The memory is doubled when it does
/// not suffice, and never grows beyond `capacity`.
#[inline]
pub(super) fn append(bytes: &mut VecDeque<u8>, more: &[u8], capacity: usize) {
    let len = bytes.len() + more.len();
    if len > bytes.capacity() {
        let doubled = (2 * bytes.capacity()).min(capacity);
        bytes.reserve_exact(doubled.max(len) - bytes.len());
    }
    bytes.extend(more);
}

/// Frees the memory of a buffer that is empty.
pub(super) fn release_memory(bytes: &mut VecDeque<u8>) {
    if bytes.is_empty() {
        *bytes = VecDeque::new();
    }
}
