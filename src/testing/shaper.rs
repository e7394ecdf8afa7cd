//! What was read in one direction and has not been relayed: when it is due, and in what pieces. Pure:
//! the time is an argument, and the random numbers come from the seed of the plan.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::fault::Fault;
use super::state::later;

/// The maximum number of bytes in flight under a latency, but for the last read.
const MAX_BYTES: usize = 1024 * 1024;
/// The maximum number of reads in flight under a latency.
const MAX_PACKETS: usize = 1024;
/// How long the writes of one burst take at the limit of the bandwidth. A timer that fires late
/// loses no more than this.
const BURST: Duration = Duration::from_millis(10);

/// When what was read is relayed.
#[derive(Clone, Copy, Debug)]
enum Lateness {
    /// This long after its read, one read after the other.
    Each(Duration),
    /// This long after its read, more or less by at most `jitter`, while more is read.
    Pipelined { delay: Duration, jitter: Duration },
}

/// The bytes of one read.
#[derive(Debug)]
struct Packet {
    bytes: Vec<u8>,
    /// How many of `bytes` were relayed. Fewer than all.
    relayed: usize,
    due: Instant,
}

/// What is relayed next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    Bytes(&'a [u8]),
    End,
}

#[derive(Debug)]
pub(super) struct Shaper {
    packets: VecDeque<Packet>,
    /// The bytes in `packets` that were not relayed.
    len: usize,
    /// When the end of the stream is due, once it was read.
    end: Option<Instant>,
    /// When the last packet is due. Later ones are not due earlier.
    last_due: Instant,
    rng: Rng,
    lateness: Lateness,
    slow_close: Duration,
    /// The maximum length of a write, in bytes. At least 1.
    max_write: usize,
    /// The limit of the bandwidth. At least 1.
    bytes_per_second: Option<u64>,
    /// When the bandwidth allows the next write.
    next_write: Instant,
}

impl Shaper {
    pub(super) fn new(seed: u64, now: Instant) -> Self {
        Self {
            packets: VecDeque::new(),
            len: 0,
            end: None,
            last_due: now,
            rng: Rng::with_seed(seed),
            lateness: Lateness::Each(Duration::ZERO),
            slow_close: Duration::ZERO,
            max_write: usize::MAX,
            bytes_per_second: None,
            next_write: now,
        }
    }

    /// Changes the shape. Faults that do something else change nothing.
    pub(super) fn apply(&mut self, fault: Fault) {
        match fault {
            Fault::OneByteAtATime => self.max_write = 1,
            Fault::Slice(bytes) => self.max_write = bytes.max(1),
            Fault::Delay(delay) => self.lateness = Lateness::Each(delay),
            Fault::Latency { delay, jitter } => {
                let jitter = jitter.min(delay);
                self.lateness = Lateness::Pipelined { delay, jitter };
            }
            Fault::Bandwidth {
                bytes_per_second, ..
            } => self.bytes_per_second = Some(bytes_per_second.max(1)),
            Fault::SlowClose(delay) => self.slow_close = delay,
            Fault::Reset
            | Fault::Fin
            | Fault::Stall
            | Fault::Timeout(_)
            | Fault::HalfOpen
            | Fault::Refuse(_) => {}
        }
    }

    /// Whether the next read may begin.
    pub(super) fn has_room(&self) -> bool {
        let has_room = match self.lateness {
            Lateness::Each(_) => self.packets.is_empty(),
            Lateness::Pipelined { .. } => self.len < MAX_BYTES && self.packets.len() < MAX_PACKETS,
        };
        has_room && self.end.is_none()
    }

    /// Adds what was read. An empty read is the end of the stream.
    pub(super) fn push(&mut self, read: &[u8], now: Instant) {
        let due = match (self.lateness, read) {
            (Lateness::Each(_), []) => now,
            (Lateness::Each(delay), _) => later(now, delay),
            (Lateness::Pipelined { delay, jitter }, _) => later(now, self.jittered(delay, jitter)),
        };
        self.last_due = self.last_due.max(due);
        if read.is_empty() {
            self.end = Some(later(self.last_due, self.slow_close));
            return;
        }
        self.len += read.len();
        self.packets.push_back(Packet {
            bytes: read.to_vec(),
            relayed: 0,
            due: self.last_due,
        });
    }

    /// Returns a delay that is uniformly distributed.
    fn jittered(&mut self, delay: Duration, jitter: Duration) -> Duration {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let random = self.rng.u64(0..=nanos(jitter).saturating_mul(2));
        (delay - jitter).saturating_add(Duration::from_nanos(random))
    }

    /// Returns what is relayed next and when, at most `room` bytes.
    pub(super) fn next(&self, room: usize) -> Option<(Instant, Next<'_>)> {
        let Some(packet) = self.packets.front() else {
            return Some((self.end?, Next::End));
        };
        let bytes = &packet.bytes[packet.relayed..];
        let len = bytes.len().min(room).min(self.max_write).min(self.burst());
        Some((packet.due.max(self.next_write), Next::Bytes(&bytes[..len])))
    }

    /// Returns the maximum length of a write that the bandwidth allows, in bytes.
    fn burst(&self) -> usize {
        let Some(rate) = self.bytes_per_second else {
            return usize::MAX;
        };
        let bytes = u128::from(rate) * BURST.as_millis() / 1000;
        usize::try_from(bytes).unwrap_or(usize::MAX).max(1)
    }

    /// Removes so many of the bytes that `next` returned.
    pub(super) fn relayed(&mut self, bytes: usize, now: Instant) {
        let Some(packet) = self.packets.front_mut() else {
            return;
        };
        packet.relayed += bytes;
        self.len -= bytes;
        if packet.relayed == packet.bytes.len() {
            self.packets.pop_front();
        }
        // The bandwidth or the receiver may have made the write late.
        let slow_end = later(now, self.slow_close);
        self.end = self.end.map(|end| end.max(slow_end));
        if let Some(rate) = self.bytes_per_second {
            let nanos = bytes as u128 * 1_000_000_000 / u128::from(rate);
            let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            let begun = now.checked_sub(BURST).unwrap_or(now).max(self.next_write);
            self.next_write = later(begun, time);
        }
        debug_assert_eq!(self.len, self.unrelayed());
    }

    fn unrelayed(&self) -> usize {
        let len = |packet: &Packet| packet.bytes.len() - packet.relayed;
        self.packets.iter().map(len).sum()
    }
}
