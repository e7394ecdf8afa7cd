//! Texts about using the crate.

#[cfg(feature = "serde")]
#[doc = include_str!("config.md")]
pub mod config {}

#[cfg(feature = "codec")]
#[doc = include_str!("framed.md")]
pub mod framed {}
