//! Tests of the protocol: two ends, a network that does its worst, and invariants.

mod app;
mod arrivals;
mod buffers;
mod cost;
mod drops;
mod frames;
mod fuzz;
mod handshakes;
mod invariants;
mod model;
mod network;
mod random;
mod rewrite;
mod rules;
mod sweep;
mod takeover;
mod vectors;
mod wire;
