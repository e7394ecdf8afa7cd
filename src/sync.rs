//! The primitives of what is shared between threads. A model checker puts its own in their place.

#[cfg(feature = "codec")]
pub(crate) use std::sync::atomic::AtomicUsize;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};
