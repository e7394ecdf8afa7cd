//! One direction of a connection.

use std::io::{ErrorKind, Result};
use std::ops::Range;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::plan::{Direction, Fault, Later};
use super::shared::after;

/// The most that is read in one call.
const CHUNK: usize = 16 * 1024;

/// How bytes are relayed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The most that is written in one call.
    pub(super) most: usize,
    pub(super) delay: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            most: CHUNK,
            delay: Duration::ZERO,
        }
    }
}

/// What a step has come to.
#[derive(Debug)]
pub(super) enum Step {
    Moved(u64, Direction),
    Ended(Direction),
    Due(Fault),
}

#[derive(Debug)]
pub(super) struct Flow {
    direction: Direction,
    buffer: Box<[u8]>,
    /// The part of `buffer` that was read and has not been relayed.
    held: Range<usize>,
    /// When `held` may go on.
    due: Instant,
    relayed: u64,
    /// The last one first. None is below `relayed`.
    faults: Vec<Later>,
}

impl Flow {
    pub(super) fn new(direction: Direction, faults: Vec<Later>) -> Self {
        Self {
            direction,
            buffer: vec![0; CHUNK].into(),
            held: 0..0,
            due: Instant::now(),
            relayed: 0,
            faults,
        }
    }

    /// Relays something, or finds a reason not to. Cancel safe: what was read is in `held`.
    pub(super) async fn step(
        &mut self,
        from: &TcpStream,
        to: &TcpStream,
        pace: Pace,
    ) -> Result<Step> {
        if let Some(fault) = self.due_fault() {
            return Ok(Step::Due(fault));
        }
        if self.held.is_empty() {
            let read = read(from, &mut self.buffer).await?;
            if read == 0 {
                return Ok(Step::Ended(self.direction));
            }
            self.held = 0..read;
            self.due = after(pace.delay);
        }
        if self.due > Instant::now() {
            sleep_until(self.due).await;
        }
        let most = self.room().min(pace.most).min(self.held.len());
        let written = write(to, &self.buffer[self.held.start..][..most]).await?;
        self.held.start += written;
        self.relayed += written as u64;
        Ok(Step::Moved(written as u64, self.direction))
    }

    fn due_fault(&mut self) -> Option<Fault> {
        let next = self.faults.last()?;
        let fault = (next.bytes <= self.relayed).then_some(next.fault)?;
        self.faults.pop();
        Some(fault)
    }

    /// How many bytes are left until the next fault.
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
