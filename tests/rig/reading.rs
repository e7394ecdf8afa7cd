//! The oracle of what is received: "The reader sees one ordered sequence".

use std::collections::BTreeSet;

use reconnecting_stream::{ConnectionLost, GaveUp, Seam};

use super::classify::{PASSING_ATTEMPT, PASSING_READ};
use super::codec::{CodecError, FIRST_TRAILER, Item};
use super::line::Line;
use super::unread::Unread;

#[derive(Debug)]
pub struct Reading {
    seam: Seam,
    /// The connection whose items come now.
    pub generation: u64,
    /// The next item of it; `None` before the first.
    next: Option<u32>,
    /// Seams that the reader was told of.
    pub seams: u64,
    poison_told: BTreeSet<u64>,
    poison_excused: BTreeSet<u64>,
    /// Connections whose end the decoder could not read.
    eof_told: BTreeSet<u64>,
    pub passing_told: usize,
    pub delivered: u64,
    pub unread: Unread,
    /// The stream has ended for good.
    pub has_ended: bool,
    /// The stream may end: it was closed, or the peer's end is passed on.
    pub may_end: bool,
    /// The peer has ended a connection, and that is passed on.
    pub passes: bool,
    /// Up to this generation, giving up was told, perhaps instead of a seam.
    forgiven: u64,
}

type Verdict = Result<(), String>;

impl Reading {
    pub fn new(seam: Seam, max_unread: (usize, u64)) -> Self {
        Self {
            seam,
            generation: 1,
            next: None,
            seams: 0,
            poison_told: BTreeSet::new(),
            poison_excused: BTreeSet::new(),
            eof_told: BTreeSet::new(),
            passing_told: 0,
            delivered: 0,
            unread: Unread::new(max_unread),
            has_ended: false,
            may_end: false,
            passes: false,
            forgiven: 0,
        }
    }

    /// Returns how many items of a connection the reader has got.
    pub fn got(&self, line: &Line) -> usize {
        let got = match self.next {
            Some(next) if line.generation == self.generation => next,
            _ if line.generation < self.generation => return usize::MAX,
            _ => line.taken_by_handshake,
        };
        got as usize
    }

    /// A new connection has begun.
    pub fn begin(&mut self, generation: u64) {
        self.unread.begin(generation, self.generation);
    }

    /// What waits now may have been more than the bound.
    pub fn note_unread(&mut self, lines: &[&Line]) {
        self.unread.note(lines, self.generation);
    }

    /// The reader does not come back to this connection.
    fn leave(&mut self, line: &Line) -> Verdict {
        // A seam that is hidden, or an end, says nothing.
        if self.seam == Seam::Error && line.generation <= self.unread.excused() {
            let (got, due) = (self.got(line), line.whole_items(line.must));
            self.unread.leave(line, got, due)?;
        }
        self.check_left(line)
    }

    /// Checks that nothing of a connection is missing that is not read any further.
    fn check_left(&self, line: &Line) -> Verdict {
        if line.generation <= self.unread.excused() {
            return Ok(());
        }
        let (got, due) = (self.got(line), line.whole_items(line.must));
        if got < due {
            return Err(format!(
                "missing: {got} of {due} items of connection {}: \"Every whole message that had \
                 arrived before a loss is delivered\"",
                line.generation
            ));
        }
        let is_poisoned = line.poison.is_some_and(|(_, end)| end <= line.must);
        let may_be_told = [&self.poison_told, &self.poison_excused];
        let is_told = may_be_told.iter().any(|set| set.contains(&line.generation));
        if is_poisoned && !is_told {
            return Err("poison-untold: the decoder's error was not told".into());
        }
        Ok(())
    }

    /// Checks all connections that are gone: nothing of theirs will come any more.
    pub fn leave_all_lost(&mut self, lines: &[&Line]) -> Verdict {
        let mut lost = lines.iter().filter(|line| line.is_dropped);
        lost.try_for_each(|line| self.check_left(line))
    }

    /// Returns whether the reader has to be told of more seams, if the newest connection lives.
    pub fn has_untold_seams(&self, connections: usize) -> bool {
        self.seam != Seam::Hidden
            && !self.may_end
            && self.seams.max(self.forgiven) + 1 < connections as u64
    }

    /// Leaves all connections below `generation`.
    fn go_to(&mut self, lines: &[&Line], generation: u64) -> Verdict {
        for at in self.generation..generation {
            let Some(line) = lines.iter().find(|line| line.generation == at) else {
                return Err(format!("future: there was no connection {at}"));
            };
            if line.is_alive() {
                return Err(format!("future: connection {at} is alive"));
            }
            self.leave(line)?;
            self.generation = at + 1;
            self.next = None;
        }
        Ok(())
    }

    pub fn item(&mut self, lines: &[&Line], item: Item) -> Verdict {
        let generation = u64::from(item.connection);
        self.delivered += 1;
        if item.index >= FIRST_TRAILER {
            let may = self.may_end || self.passes;
            return may
                .then_some(())
                .ok_or_else(|| "decode-eof: asked where no stream has ended".into());
        }
        if generation < self.generation {
            return Err(format!(
                "late: an item of {generation} after {}: \"Nothing of a later connection comes \
                 before the seam\"",
                self.generation
            ));
        }
        let is_crossed = generation == self.seams + 1 || generation <= self.forgiven + 1;
        if self.seam != Seam::Hidden && !is_crossed {
            return Err(format!(
                "seam-missing: an item of {generation} after {} seams",
                self.seams
            ));
        }
        self.go_to(lines, generation)?;
        let Some(line) = lines.iter().find(|line| line.generation == generation) else {
            return Err(format!("future: an item of {generation}"));
        };
        let next = self.next.unwrap_or(line.taken_by_handshake);
        if item.index != next {
            return Err(format!(
                "item-order: item {} of {generation} instead of {next}: \"one ordered sequence\"",
                item.index
            ));
        }
        self.next = Some(next + 1);
        Ok(())
    }

    pub fn error(&mut self, lines: &[&Line], error: &CodecError) -> Verdict {
        if let Some(lost) = ConnectionLost::find(error) {
            self.unread.add(lost.dropped_bytes)?;
            return self.lost(lines, lost.generation);
        }
        if GaveUp::find(error).is_some() {
            // It may stand for the seams before it.
            self.forgiven = lines.len() as u64;
            return Ok(());
        }
        match error {
            CodecError::Poison => self.poison(lines),
            CodecError::Io(error) if error.kind() == PASSING_READ => {
                self.passing_told += 1;
                Ok(())
            }
            CodecError::Io(error) if error.kind() == PASSING_ATTEMPT => Ok(()),
            CodecError::Io(_) if self.passes || self.may_end => self.decode_eof(lines),
            other => Err(format!("strange-item: {other}")),
        }
    }

    /// `decode_eof` of the connection that has ended last has failed.
    fn decode_eof(&mut self, lines: &[&Line]) -> Verdict {
        let last = lines.last().map_or(0, |line| line.generation);
        let is_first = self.eof_told.insert(last);
        let why = "decode-eof: \"an error of it is one error, then the end\"";
        is_first.then_some(()).ok_or_else(|| why.into())
    }

    fn lost(&mut self, lines: &[&Line], generation: u64) -> Verdict {
        if self.seam != Seam::Error {
            return if self.may_end {
                self.seams = generation;
                Ok(())
            } else {
                Err(format!("seam-surplus: {:?} tells a loss", self.seam))
            };
        }
        let is_next = generation == self.seams + 1;
        let merged = self.unread.excused().max(self.forgiven) + 1;
        let is_merged = generation > self.seams && generation <= merged;
        if !is_next && !is_merged {
            return Err(format!(
                "seam-order: the seam of {generation} after that of {}: \"each seam is one Err \
                 item\"",
                self.seams
            ));
        }
        self.go_to(lines, generation + 1)?;
        self.seams = generation;
        self.unread.check_most()
    }

    fn poison(&mut self, lines: &[&Line]) -> Verdict {
        let candidates = lines.iter().filter(|line| {
            line.generation >= self.generation
                && line.poison.is_some_and(|(_, end)| end <= line.consumed)
                && !self.poison_told.contains(&line.generation)
        });
        // The first one, but rather one of which no panic has told.
        let line = candidates.min_by_key(|line| self.poison_excused.contains(&line.generation));
        let Some(line) = line else {
            return Err("poison-surplus: \"A decode error ends the connection, once\"".into());
        };
        let is_crossed = line.generation == self.seams + 1 || line.generation <= self.forgiven + 1;
        if self.seam != Seam::Hidden && !is_crossed {
            return Err("seam-missing: a later connection's error before the seam".into());
        }
        self.go_to(lines, line.generation)?;
        self.poison_told.insert(line.generation);
        self.check_left(line)
    }

    /// A panic has taken the place of what the decoder had to say, which has just lost the
    /// connection.
    pub fn forgive_poison(&mut self, lines: &[&Line], epoch: u64) {
        let lost = lines.iter().filter(|line| line.dropped == Some(epoch));
        self.poison_excused.extend(lost.map(|line| line.generation));
    }

    /// The stream has answered `None`.
    pub fn end(&mut self, lines: &[&Line], passes: bool) -> Verdict {
        let seam = self.seams.max(self.generation - 1) + 1;
        let is_lost = lines
            .iter()
            .any(|line| line.generation == seam && line.is_dropped);
        if self.seam == Seam::Eof && is_lost && !self.has_ended {
            self.go_to(lines, seam + 1)?;
            self.seams = seam;
            if self.forgiven > 0 {
                // Which of the seams around giving up this is cannot be told.
                self.forgiven = lines.len() as u64;
            }
            return Ok(());
        }
        if !self.may_end && !passes {
            return Err("end: `None` while the stream goes on".into());
        }
        if self.may_end {
            self.has_ended = true;
        }
        let line = lines.iter().find(|line| line.generation == self.generation);
        line.map_or(Ok(()), |line| self.check_left(line))
    }

    /// Everything is over: nothing may be missing.
    pub fn is_complete(&self, lines: &[&Line]) -> bool {
        let lost = lines.iter().filter(|line| line.is_dropped).count() as u64;
        let seams_are_told = self.seam == Seam::Hidden || self.seams.max(self.forgiven) >= lost;
        let live = lines.iter().find(|line| line.is_alive());
        let has_all = live.is_none_or(|line| self.got(line) >= line.whole_items(line.arrived));
        let last = lines.iter().filter(|line| line.is_dropped).all(|line| {
            line.generation <= self.unread.excused()
                || self.got(line) >= line.whole_items(line.must)
        });
        seams_are_told && has_all && last
    }
}
