//! The oracle of what may be dropped because it waits for the reader.

use super::connection::Connection;

/// What waits for the reader is bounded, "and the reader's seam says so (how many bytes)".
#[derive(Debug)]
pub struct Unread {
    /// Bytes, and connections.
    bounds: (usize, u64),
    /// Up to this generation, whole connections may have been dropped by a bound.
    excused: u64,
    /// The sum of what the seams have said.
    said: u64,
    /// At least so many bytes of whole messages that had been read were dropped.
    least: u64,
    /// No more than this was read and not delivered.
    most: u64,
}

impl Unread {
    pub const fn new(bounds: (usize, u64)) -> Self {
        Self {
            bounds,
            excused: 0,
            said: 0,
            least: 0,
            most: 0,
        }
    }

    pub const fn said(&self) -> u64 {
        self.said
    }

    pub const fn excused(&self) -> u64 {
        self.excused
    }

    /// A new connection has begun while the reader is on another one.
    pub const fn begin(&mut self, generation: u64, reader: u64) {
        if generation + 1 > reader + self.bounds.1 {
            self.excused = generation - 1;
        }
    }

    /// Takes note of what may have been more than the bound.
    pub fn note(&mut self, connections: &[&Connection], reader: u64) {
        let waiting = connections
            .iter()
            .filter(|connection| connection.generation >= reader);
        let bytes: usize = waiting.map(|connection| connection.arrived).sum();
        if bytes > self.bounds.0 {
            self.excused = self.excused.max(connections.len() as u64);
        }
    }

    /// A seam says how much was dropped.
    pub fn add(&mut self, dropped_bytes: u64) -> Result<(), String> {
        self.said += dropped_bytes;
        if dropped_bytes > 0 && self.excused == 0 {
            return Err(format!(
                "unread-bound: {dropped_bytes} bytes were dropped within the bound"
            ));
        }
        Ok(())
    }

    /// The seam of a connection of which `got` items came was told, and `due` were to come.
    pub fn leave(&mut self, connection: &Connection, got: usize, due: usize) -> Result<(), String> {
        let from = connection.end_of(got);
        self.most += connection.consumed.saturating_sub(from) as u64;
        let read = due.min(connection.whole_items(connection.consumed));
        self.least += connection.end_of(read).saturating_sub(from) as u64;
        // The codec that a handshake returns may hold items, of which no bytes are left to count.
        let by_handshake = got > 0 && connection.taken_by_handshake as usize == got;
        let is_held = by_handshake && connection.end_of(due) == from;
        let is_silent = got < due && !is_held && self.said == 0;
        if is_silent || self.said < self.least {
            return Err(format!(
                "unread-silent: {got} of {due} items of connection {}, and the seams say {} bytes, \
                 not {}: \"the reader's seam says so (how many bytes)\"",
                connection.generation, self.said, self.least
            ));
        }
        Ok(())
    }

    /// No more was dropped than there was.
    pub fn check_most(&self) -> Result<(), String> {
        if self.said <= self.most {
            return Ok(());
        }
        Err(format!(
            "unread-surplus: the seams say {} bytes of {}",
            self.said, self.most
        ))
    }
}
