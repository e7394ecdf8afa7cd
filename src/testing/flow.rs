//! One direction of a relayed connection.

use std::future::pending;
use std::io::{ErrorKind, Result};

use tokio::net::TcpStream;
use tokio::select;
use tokio::time::{Instant, sleep_until};

use super::fault::{Direction, Fault};
use super::plan::{Plan, ScheduledFault};
use super::shaper::{Next, Shaper};
use super::socket::failure;

/// The maximum length of one read, in bytes.
const CHUNK: usize = 16 * 1024;

/// The result of one step.
#[derive(Debug)]
pub(super) enum Step {
    /// So many bytes were written.
    Relayed(u64, Direction),
    /// The sender closed its side, and everything before that was relayed.
    Ended(Direction),
    /// The bytes before this fault were relayed.
    Due(Fault),
}

#[derive(Debug)]
pub(super) struct Flow {
    direction: Direction,
    buffer: Box<[u8]>,
    /// What was read and has not been relayed.
    shaper: Shaper,
    relayed: u64,
    /// The pending faults, the last one first. None is below `relayed`.
    faults: Vec<ScheduledFault>,
}

impl Flow {
    pub(super) fn new(direction: Direction, plan: &Plan) -> Self {
        Self {
            direction,
            buffer: vec![0; CHUNK].into(),
            shaper: Shaper::new(plan.seed_of(direction), Instant::now()),
            relayed: 0,
            faults: plan.scheduled(direction),
        }
    }

    /// Changes when and in what pieces the later bytes are relayed.
    pub(super) fn shape(&mut self, fault: Fault) {
        match fault {
            Fault::Bandwidth { direction, .. } if direction != self.direction => {}
            fault => self.shaper.apply(fault),
        }
    }

    /// Relays up to one chunk, or returns why there is nothing to relay. Cancel safe: bytes that
    /// were read stay in `shaper`.
    pub(super) async fn step(&mut self, from: &TcpStream, to: &TcpStream) -> Result<Step> {
        loop {
            if let Some(fault) = self.due_fault() {
                return Ok(Step::Due(fault));
            }
            let next = self.shaper.next(self.room());
            select! {
                biased;
                written = relay(next, to) => {
                    let Some(written) = written? else {
                        return Ok(Step::Ended(self.direction));
                    };
                    self.shaper.relayed(written, Instant::now());
                    self.relayed += written as u64;
                    return Ok(Step::Relayed(written as u64, self.direction));
                }
                read = read(from, &mut self.buffer), if self.shaper.has_room() => {
                    self.shaper.push(&self.buffer[..read?], Instant::now());
                }
                // Only a reset of `from` overtakes what waits to be relayed.
                error = failure(from), if !self.shaper.has_room() => return Err(error),
            }
        }
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

/// Writes `next` once it is due, and returns how many bytes, or `None` for the end of the stream.
async fn relay(next: Option<(Instant, Next<'_>)>, to: &TcpStream) -> Result<Option<usize>> {
    let Some((due, next)) = next else {
        return pending().await;
    };
    if due > Instant::now() {
        sleep_until(due).await;
    }
    match next {
        Next::Bytes(bytes) => write(to, bytes).await.map(Some),
        Next::End => Ok(None),
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
