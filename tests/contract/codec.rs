//! Codecs that do what a test wants.
