//! The state of one scripted connection, as the kernel and the peer see it.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::task::Waker;

use super::codec;

/// How much may have arrived before its end is hidden behind it from a client that never reads.
const HIDES_AN_END: usize = 48 * 1024;

/// How connections behave in one history.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// No read or write moves more.
    pub chunk: usize,
    /// What the kernel takes before it says `Pending`.
    pub room: usize,
    /// The connection keeps so many written bytes inside until it is flushed, as a `BufWriter`
    /// or TLS does.
    pub buffer: usize,
    /// What has arrived can be read after a reset.
    pub keeps_arrived: bool,
}

#[derive(Debug)]
pub struct Line {
    pub habits: Habits,
    /// The generation that the connection has once its handshake is done.
    pub generation: u64,
    pub is_adopted: bool,
    pub is_dropped: bool,

    pub(super) arriving: VecDeque<u8>,
    /// Everything that has arrived.
    pub stream: Vec<u8>,
    /// Bytes that have arrived, in all.
    pub arrived: usize,
    /// Bytes that the client has read.
    pub consumed: usize,
    pub fin: bool,
    pub reset: bool,
    /// The reset was reported to one operation: the next one does not get it again.
    pub reset_is_eaten: bool,
    /// The epoch in which the end arrived.
    pub ended: Option<u64>,
    /// The connection has reported its death to the client.
    pub noticed: bool,
    /// Bytes that had arrived before the loss: their whole items have to be delivered.
    pub must: usize,
    pub passing_read: Option<ErrorKind>,
    pub passing_write: Option<ErrorKind>,
    /// Passing errors of reads that the reader has not taken.
    pub passing_untaken: usize,

    /// Where item `n` ends in the bytes that the peer sends.
    pub ends: Vec<usize>,
    /// How many items come before the frame that can't be decoded, and where it ends.
    pub poison: Option<(usize, usize)>,
    pub(super) tail: Vec<u8>,
    /// Items that the handshake has read.
    pub taken_by_handshake: u32,

    /// Bytes that the client has handed over.
    pub given: Vec<u8>,
    /// How many of them have left.
    pub left: usize,
    /// Where the next frame begins in `given`.
    pub parsed: usize,
    pub frames: Frames,
    pub is_shut: bool,
    pub stalls_shutdown: bool,

    pub reader: Option<Waker>,
    pub writer: Option<Waker>,
}

/// What a connection was given.
#[derive(Debug, Default)]
pub struct Frames {
    /// Hellos that the handshake has encoded.
    pub hellos_due: u32,
    pub hellos: u32,
    pub data: Vec<u32>,
    pub transient: Vec<u32>,
    /// How many of `data` the peer has replied to.
    pub replied: usize,
    /// How many of `data` the client has counted as answered.
    pub answered: usize,
    /// Messages that were accepted before this connection was made.
    pub owed: usize,
    /// Where the last of them ends in what the client has handed over.
    pub owed_end: usize,
    /// Messages that were confirmed before this connection was made.
    pub confirmed_before: usize,
}

/// What is to be woken once no lock is held.
#[must_use]
#[derive(Default)]
pub struct Wakes(pub [Option<Waker>; 2]);

impl Wakes {
    pub fn wake(self) {
        self.0.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Line {
    pub fn new(habits: Habits, generation: u64) -> Self {
        Self {
            habits,
            generation,
            is_adopted: false,
            is_dropped: false,
            arriving: VecDeque::new(),
            stream: Vec::new(),
            arrived: 0,
            consumed: 0,
            fin: false,
            reset: false,
            reset_is_eaten: false,
            ended: None,
            noticed: false,
            must: 0,
            passing_read: None,
            passing_write: None,
            passing_untaken: 0,
            ends: Vec::new(),
            poison: None,
            tail: Vec::new(),
            taken_by_handshake: 0,
            given: Vec::new(),
            left: 0,
            parsed: 0,
            frames: Frames::default(),
            is_shut: false,
            stalls_shutdown: false,
            reader: None,
            writer: None,
        }
    }

    pub const fn is_alive(&self) -> bool {
        !self.is_dropped
    }

    pub const fn has_ended(&self) -> bool {
        self.fin || self.reset
    }

    pub fn is_readable(&self) -> bool {
        !self.arriving.is_empty() || self.has_ended() || self.passing_read.is_some()
    }

    /// Returns whether a client that never reads may not come to see the end: more has arrived
    /// than is read ahead, or reads fail, and no reader takes that. A sender can't wait for what
    /// it can't read, and the contract has no word for a connection that fails to be read for
    /// ever.
    pub const fn hides_its_end(&self) -> bool {
        self.arrived >= HIDES_AN_END || self.passing_untaken >= 2
    }

    pub fn unread(&self) -> usize {
        self.arriving.len()
    }

    pub fn buffered(&self) -> usize {
        self.given.len() - self.left
    }

    /// Returns how many items are whole within the first `bytes`, as far as they can be decoded.
    pub fn whole_items(&self, bytes: usize) -> usize {
        let whole = self.ends.partition_point(|end| *end <= bytes);
        self.poison.map_or(whole, |(before, _)| whole.min(before))
    }

    /// Returns where the frame of item `n`, counted from 1, ends in what has arrived.
    pub fn end_of(&self, n: usize) -> usize {
        n.checked_sub(1).map_or(0, |at| self.ends[at])
    }

    /// Everything that has arrived so far has to be delivered if the connection is lost later.
    pub fn note_arrived(&mut self) {
        self.must = self.must.max(self.consumed + self.arriving.len());
    }

    pub(super) fn arrive(&mut self, bytes: &[u8]) {
        if self.has_ended() || self.is_dropped {
            return;
        }
        self.arriving.extend(bytes);
        self.stream.extend(bytes);
        self.arrived += bytes.len();
    }

    pub(super) fn wake_reader(&mut self) -> Wakes {
        Wakes([self.reader.take(), None])
    }

    pub fn wake_all(&mut self) -> Wakes {
        Wakes([self.reader.take(), self.writer.take()])
    }
}

/// What the client's operations meet.
impl Line {
    /// Returns `None` if there is nothing to read.
    pub fn read(&mut self, max: usize) -> Option<Result<Vec<u8>, ErrorKind>> {
        if let Some(kind) = self.passing_read.take() {
            return Some(Err(kind));
        }
        if !self.arriving.is_empty() {
            let n = max.min(self.arriving.len()).min(self.habits.chunk);
            self.consumed += n;
            return Some(Ok(self.arriving.drain(..n).collect()));
        }
        if self.reset && !self.reset_is_eaten {
            return Some(Err(self.meet_reset()));
        }
        if self.has_ended() {
            return Some(Ok(Vec::new()));
        }
        None
    }

    pub fn meet_reset(&mut self) -> ErrorKind {
        if self.reset_is_eaten {
            return ErrorKind::BrokenPipe;
        }
        self.reset_is_eaten = true;
        ErrorKind::ConnectionReset
    }

    /// The client learns that the connection is dead.
    pub fn notice(&mut self) {
        if !self.noticed {
            self.noticed = true;
            self.must = self.consumed + self.arriving.len();
        }
    }

    /// Returns `None` if there is no room.
    pub fn write(&mut self, bytes: &[u8]) -> Option<Result<usize, ErrorKind>> {
        if let Some(kind) = self.passing_write.take() {
            return Some(Err(kind));
        }
        let holds = self.habits.buffer;
        if holds > 0 && self.buffered() < holds {
            let n = bytes.len().min(holds - self.buffered());
            let n = n.min(self.habits.chunk);
            self.given.extend(&bytes[..n]);
            return Some(Ok(n));
        }
        if self.reset {
            return Some(Err(self.meet_reset()));
        }
        if self.is_shut {
            return Some(Err(ErrorKind::BrokenPipe));
        }
        if holds > 0 {
            self.drain();
            return (self.buffered() < holds).then(|| self.write(bytes))?;
        }
        let n = bytes.len().min(self.habits.room).min(self.habits.chunk);
        if n == 0 {
            return None;
        }
        self.habits.room = self.habits.room.saturating_sub(n);
        self.given.extend(&bytes[..n]);
        self.left = self.given.len();
        Some(Ok(n))
    }

    fn drain(&mut self) {
        let n = self.buffered().min(self.habits.room);
        if self.habits.room != usize::MAX {
            self.habits.room -= n;
        }
        self.left += n;
    }

    /// Returns `None` if there is no room. Without a buffer of its own a connection has nothing
    /// to flush, and does not find out that it was reset.
    pub fn flush(&mut self) -> Option<Result<(), ErrorKind>> {
        if self.buffered() == 0 {
            return Some(Ok(()));
        }
        if self.reset {
            return Some(Err(self.meet_reset()));
        }
        self.drain();
        (self.buffered() == 0).then_some(Ok(()))
    }

    pub fn shut_down(&mut self) -> Option<Result<(), ErrorKind>> {
        if let Err(kind) = self.flush()? {
            return Some(Err(kind));
        }
        if self.reset {
            self.reset_is_eaten = true;
            return Some(Err(ErrorKind::NotConnected));
        }
        if self.stalls_shutdown {
            return None;
        }
        self.is_shut = true;
        Some(Ok(()))
    }
}
