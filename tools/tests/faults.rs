//! Every fault, in the middle of every operation, whole and split, on both runtimes, at every
//! seam: no hang, no panic, no wrong byte, and the work is done in the end.
//!
//! A cell of the matrix is a conversation over a `ReconnectingStream` through a `FaultProxy`, in
//! which the first two connections have the fault and the following ones have none. Both sides
//! check every byte (`reconnecting_stream_tools::lab`).
//!
//! The same faults fall into sessions (`sessions.rs`), of which every byte and both ends have to arrive.
//! A payload byte that a network changes is none of the faults: the checksum of TCP, or TLS, drops the
//! segment or the connection.

#[path = "faults/cell.rs"]
mod cell;
#[path = "faults/control.rs"]
mod control;
#[path = "faults/matrix.rs"]
mod matrix;
#[path = "faults/session.rs"]
mod session;
#[path = "faults/sessions.rs"]
mod sessions;
#[path = "faults/summary.rs"]
mod summary;
