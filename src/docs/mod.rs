//! Texts about using the crate.

#[cfg(feature = "codec")]
#[doc = include_str!("framed.md")]
pub mod framed {}
