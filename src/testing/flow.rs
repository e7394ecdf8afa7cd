//! One direction of a relayed connection.

use std::io::{ErrorKind, Result};
use std::ops::Range;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::plan::{Direction, Fault, ScheduledFault};
use super::state::after;

/// The maximum length of one read, in bytes.
const CHUNK: usize = 16 * 1024;

/// The limits on the rate at which bytes are relayed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Throttle {
    /// The maximum length of one write, in bytes.
    pub(super) max_write: usize,
    /// The time between a read and the write of its bytes.
    pub(super) delay: Duration,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            max_write: CHUNK,
            delay: Duration::ZERO,
        }
    }
}

/// The result of one step.
#[derive(Debug)]
pub(super) enum Step {
    /// So many bytes were written.
    Relayed(u64, Direction),
    /// The sender closed its side.
    Ended(Direction),
    /// The bytes before this fault were relayed.
    Due(Fault),
}

#[derive(Debug)]
pub(super) struct Flow {
    direction: Direction,
    buffer: Box<[u8]>,
    /// The part of `buffer` that was read and has not been relayed.
    unsent: Range<usize>,
    /// When `unsent` may be written.
    due: Instant,
    relayed: u64,
    /// The pending faults, the last one first. None is below `relayed`.
    faults: Vec<ScheduledFault>,
}

impl Flow {
    pub(super) fn new(direction: Direction, faults: Vec<ScheduledFault>) -> Self {
        Self {
            direction,
            buffer: vec![0; CHUNK].into(),
            unsent: 0..0,
            due: Instant::now(),
            relayed: 0,
            faults,
        }
    }

    /// Relays up to one chunk, or returns why there is nothing to relay. Cancel safe: bytes that
    /// were read stay in `unsent`.
    pub(super) async fn step(
        &mut self,
        from: &TcpStream,
        to: &TcpStream,
        throttle: Throttle,
    ) -> Result<Step> {
        if let Some(fault) = self.due_fault() {
            return Ok(Step::Due(fault));
        }
        if self.unsent.is_empty() {
            let read = read(from, &mut self.buffer).await?;
            if read == 0 {
                return Ok(Step::Ended(self.direction));
            }
            self.unsent = 0..read;
            self.due = after(throttle.delay);
        }
        if self.due > Instant::now() {
            sleep_until(self.due).await;
        }
        let len = self.room().min(throttle.max_write).min(self.unsent.len());
        let written = write(to, &self.buffer[self.unsent.start..][..len]).await?;
        self.unsent.start += written;
        self.relayed += written as u64;
        Ok(Step::Relayed(written as u64, self.direction))
    }

    fn due_fault(&mut self) -> Option<Fault> {
        let next = self.faults.last()?;
        let fault = (next.bytes <= self.relayed).then_some(next.fault)?;
        self.faults.pop();
        Some(fault)
    }

    /// Returns how many bytes remain until the next fault.
    fn room(&self) -> usize {
        let room = self.faults.last().map(|later| later.bytes - self.relayed);
        room.and_then(|room| usize::try_from(room).ok())
            .unwrap_or(usize::MAX)
    }
}

async fn read(socket: &TcpStream, buffer: &mut [u8]) -> Result<usize> {
    loop {
        socket.readable().await?;
        match socket.try_read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

async fn write(socket: &TcpStream, bytes: &[u8]) -> Result<usize> {
    loop {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}
