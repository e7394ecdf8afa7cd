//! Sessions: a byte stream that loses nothing, between two ends that both use this crate.

// The streams and the listener that use it are not there yet.
#![cfg_attr(not(test), allow(dead_code))]

mod protocol;
