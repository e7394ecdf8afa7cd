//! A conversation of bytes whose every byte is checked, on both of its sides.
//!
//! Both sides send [patterns](pattern) in which any 16 bytes tell which stream they belong to and
//! where in it. So a receiver knows a byte that is wrong, out of place, or of another connection.
//!
//! A connection begins with 8 bytes that tell the server the number of the client's connection.
//! What the server sends is the stream of that number. What the client sends is one stream as
//! long as it is not told of a seam, and the next one, from its beginning, when it is.

pub mod checker;
pub mod client;
pub mod extents;
pub mod pattern;
pub mod server;
pub mod talk;

/// What is wrong.
pub type Failure = String;

pub fn failure(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    error.into().to_string()
}
