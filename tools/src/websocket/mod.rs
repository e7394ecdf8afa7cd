//! A WebSocket subscription that continues on the next connection.

pub mod client;
pub mod server;
