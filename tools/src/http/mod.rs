//! HTTP/1.1 with hyper over a stream that reconnects.

pub mod client;
pub mod server;
