//! The primitives of what is shared between threads. A model checker puts its own in their place.

pub(super) use std::sync::Mutex;
pub(super) use std::sync::atomic::{AtomicU8, Ordering};
