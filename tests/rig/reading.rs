//! The oracle of what is received: "The reader sees one ordered sequence".

mod errors;

use std::collections::BTreeSet;

use reconnecting_stream::Seam;

use super::codec::{FIRST_TRAILER, Item};
use super::connection::Connection;
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
    pub transient_told: usize,
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
            transient_told: 0,
            delivered: 0,
            unread: Unread::new(max_unread),
            has_ended: false,
            may_end: false,
            passes: false,
            forgiven: 0,
        }
    }

    /// Returns how many items of a connection the reader has got.
    pub fn got(&self, connection: &Connection) -> usize {
        let got = match self.next {
            Some(next) if connection.generation == self.generation => next,
            _ if connection.generation < self.generation => return usize::MAX,
            _ => connection.taken_by_handshake,
        };
        got as usize
    }

    /// A new connection has begun.
    pub fn begin(&mut self, generation: u64) {
        self.unread.begin(generation, self.generation);
    }

    /// What waits now may have been more than the bound.
    pub fn note_unread(&mut self, connections: &[&Connection]) {
        self.unread.note(connections, self.generation);
    }

    /// The reader does not come back to this connection.
    fn leave(&mut self, connection: &Connection) -> Verdict {
        // A seam that is hidden, or an end, says nothing.
        if self.seam == Seam::Error && connection.generation <= self.unread.excused() {
            let (got, due) = (
                self.got(connection),
                connection.whole_items(connection.must),
            );
            self.unread.leave(connection, got, due)?;
        }
        self.check_left(connection)
    }

    /// Checks that nothing of a connection is missing that is not read any further.
    fn check_left(&self, connection: &Connection) -> Verdict {
        if connection.generation <= self.unread.excused() {
            return Ok(());
        }
        let (got, due) = (
            self.got(connection),
            connection.whole_items(connection.must),
        );
        if got < due {
            return Err(format!(
                "missing: {got} of {due} items of connection {}: \"Every whole message that had \
                 arrived before a loss is delivered\"",
                connection.generation
            ));
        }
        let is_poisoned = connection
            .poison
            .is_some_and(|(_, end)| end <= connection.must);
        let may_be_told = [&self.poison_told, &self.poison_excused];
        let is_told = may_be_told
            .iter()
            .any(|set| set.contains(&connection.generation));
        if is_poisoned && !is_told {
            return Err("poison-untold: the decoder's error was not told".into());
        }
        Ok(())
    }

    /// Checks all connections that are gone: nothing of theirs will come any more.
    pub fn leave_all_lost(&mut self, connections: &[&Connection]) -> Verdict {
        let mut lost = connections
            .iter()
            .filter(|connection| connection.is_dropped);
        lost.try_for_each(|connection| self.check_left(connection))
    }

    /// Returns whether the reader has to be told of more seams, if the newest connection lives.
    pub fn has_untold_seams(&self, connections: usize) -> bool {
        self.seam != Seam::Hidden
            && !self.may_end
            && self.seams.max(self.forgiven) + 1 < connections as u64
    }

    /// Leaves all connections below `generation`.
    fn go_to(&mut self, connections: &[&Connection], generation: u64) -> Verdict {
        for at in self.generation..generation {
            let Some(connection) = connections
                .iter()
                .find(|connection| connection.generation == at)
            else {
                return Err(format!("future: there was no connection {at}"));
            };
            if connection.is_alive() {
                return Err(format!("future: connection {at} is alive"));
            }
            self.leave(connection)?;
            self.generation = at + 1;
            self.next = None;
        }
        Ok(())
    }

    pub fn item(&mut self, connections: &[&Connection], item: Item) -> Verdict {
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
        let is_past_seam = generation == self.seams + 1 || generation <= self.forgiven + 1;
        if self.seam != Seam::Hidden && !is_past_seam {
            return Err(format!(
                "seam-missing: an item of {generation} after {} seams",
                self.seams
            ));
        }
        self.go_to(connections, generation)?;
        let Some(connection) = connections
            .iter()
            .find(|connection| connection.generation == generation)
        else {
            return Err(format!("future: an item of {generation}"));
        };
        let next = self.next.unwrap_or(connection.taken_by_handshake);
        if item.index != next {
            return Err(format!(
                "item-order: item {} of {generation} instead of {next}: \"one ordered sequence\"",
                item.index
            ));
        }
        self.next = Some(next + 1);
        Ok(())
    }

    /// The stream has answered `None`.
    pub fn end(&mut self, connections: &[&Connection], passes: bool) -> Verdict {
        let seam = self.seams.max(self.generation - 1) + 1;
        let is_lost = connections
            .iter()
            .any(|connection| connection.generation == seam && connection.is_dropped);
        if self.seam == Seam::Eof && is_lost && !self.has_ended {
            self.go_to(connections, seam + 1)?;
            self.seams = seam;
            if self.forgiven > 0 {
                // Which of the seams around giving up this is cannot be told.
                self.forgiven = connections.len() as u64;
            }
            return Ok(());
        }
        if !self.may_end && !passes {
            return Err("end: `None` while the stream continues".into());
        }
        if self.may_end {
            self.has_ended = true;
        }
        let connection = connections
            .iter()
            .find(|connection| connection.generation == self.generation);
        connection.map_or(Ok(()), |connection| self.check_left(connection))
    }

    /// Everything is over: nothing may be missing.
    pub fn is_complete(&self, connections: &[&Connection]) -> bool {
        let lost = connections
            .iter()
            .filter(|connection| connection.is_dropped)
            .count() as u64;
        let seams_are_told = self.seam == Seam::Hidden || self.seams.max(self.forgiven) >= lost;
        let live = connections.iter().find(|connection| connection.is_alive());
        let has_all = live.is_none_or(|connection| {
            self.got(connection) >= connection.whole_items(connection.arrived)
        });
        let last = connections
            .iter()
            .filter(|connection| connection.is_dropped)
            .all(|connection| {
                connection.generation <= self.unread.excused()
                    || self.got(connection) >= connection.whole_items(connection.must)
            });
        seams_are_told && has_all && last
    }
}
