//! Sockets whose every answer a test decides, a network of them, and observers.
#![allow(dead_code, unreachable_pub, unused_imports)]

pub mod codec;
mod net;
mod recorder;
mod remote;
mod socket;

pub use net::Net;
pub use recorder::Recorder;
pub use socket::{Op, Remote, Socket, When};
