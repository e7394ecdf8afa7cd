//! The state of one scripted connection, as the kernel and the peer see it.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::task::Waker;

use reconnecting_stream::Verdict;

use super::codec;
use super::hook::Op;

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
    /// The epoch in which it was dropped.
    pub dropped: Option<u64>,

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
    /// A command that ends it was noted, see [`note_arrived`](Self::note_arrived).
    pub is_noted: bool,
    /// Bytes that had arrived before the loss: their whole items have to be delivered.
    pub must: usize,
    pub passing_read: Option<ErrorKind>,
    pub passing_write: Option<ErrorKind>,
    /// The next operation of this kind fails, and the classifier says this.
    pub failure: Option<(Op, Verdict)>,
    /// Passing errors of reads that the reader has not taken, of the last poll that met one.
    pub passing_untaken: usize,
    pub passing_epoch: u64,

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
            dropped: None,
            arriving: VecDeque::new(),
            stream: Vec::new(),
            arrived: 0,
            consumed: 0,
            fin: false,
            reset: false,
            reset_is_eaten: false,
            ended: None,
            noticed: false,
            is_noted: false,
            must: 0,
            passing_read: None,
            passing_write: None,
            failure: None,
            passing_untaken: 0,
            passing_epoch: 0,
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
        let fails = self.passing_read.is_some() || self.failure_of(Op::Read).is_some();
        !self.arriving.is_empty() || self.has_ended() || fails
    }

    /// Returns whether a client that never reads may not come to see the end: more has arrived
    /// than is read ahead, or reads fail twice in one poll, and no reader takes that. A sender
    /// can't wait for what it can't read, and the contract has no word for a connection that
    /// fails to be read again and again.
    pub const fn hides_its_end(&self) -> bool {
        self.arrived >= HIDES_AN_END || self.passing_untaken >= 2
    }

    pub fn fails_to_write(&self) -> bool {
        self.passing_write.is_some() || self.failure.is_some_and(|(op, _)| op != Op::Read)
    }

    /// Returns the verdict that is scripted for this operation now. A handshake meets none, and
    /// what has arrived comes before a loss.
    pub fn failure_of(&self, op: Op) -> Option<Verdict> {
        let (of, verdict) = self.failure.filter(|_| self.is_adopted)?;
        let comes_later =
            op == Op::Read && verdict != Verdict::Surface && !self.arriving.is_empty();
        (of == op && !comes_later).then_some(verdict)
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
        self.is_noted = true;
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
