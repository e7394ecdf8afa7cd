//! The errors that the reader may get: losses, and frames that can not be decoded.

use reconnecting_stream::{ConnectionLost, GaveUp, Seam};

use super::super::classify::{TRANSIENT_ATTEMPT, TRANSIENT_READ};
use super::super::codec::CodecError;
use super::super::connection::Connection;
use super::{Reading, Verdict};

impl Reading {
    pub fn error(&mut self, connections: &[&Connection], error: &CodecError) -> Verdict {
        if let Some(lost) = ConnectionLost::find(error) {
            self.unread.add(lost.dropped_bytes)?;
            return self.lost(connections, lost.generation);
        }
        if GaveUp::find(error).is_some() {
            // It may stand for the seams before it.
            self.forgiven = connections.len() as u64;
            return Ok(());
        }
        match error {
            CodecError::Poison => self.poison(connections),
            CodecError::Io(error) if error.kind() == TRANSIENT_READ => {
                self.transient_told += 1;
                Ok(())
            }
            CodecError::Io(error) if error.kind() == TRANSIENT_ATTEMPT => Ok(()),
            CodecError::Io(_) if self.passes || self.may_end => self.decode_eof(connections),
            other => Err(format!("strange-item: {other}")),
        }
    }

    /// `decode_eof` of the connection that has ended last has failed.
    fn decode_eof(&mut self, connections: &[&Connection]) -> Verdict {
        let last = connections
            .last()
            .map_or(0, |connection| connection.generation);
        let is_first = self.eof_told.insert(last);
        let why = "decode-eof: \"an error of it is one error, then the end\"";
        is_first.then_some(()).ok_or_else(|| why.into())
    }

    fn lost(&mut self, connections: &[&Connection], generation: u64) -> Verdict {
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
        self.go_to(connections, generation + 1)?;
        self.seams = generation;
        self.unread.check_most()
    }

    fn poison(&mut self, connections: &[&Connection]) -> Verdict {
        let candidates = connections.iter().filter(|connection| {
            connection.generation >= self.generation
                && connection
                    .poison
                    .is_some_and(|(_, end)| end <= connection.consumed)
                && !self.poison_told.contains(&connection.generation)
        });
        // The first one, but rather one of which no panic has told.
        let connection = candidates
            .min_by_key(|connection| self.poison_excused.contains(&connection.generation));
        let Some(connection) = connection else {
            return Err("poison-surplus: \"A decode error ends the connection, once\"".into());
        };
        let is_past_seam =
            connection.generation == self.seams + 1 || connection.generation <= self.forgiven + 1;
        if self.seam != Seam::Hidden && !is_past_seam {
            return Err("seam-missing: a later connection's error before the seam".into());
        }
        self.go_to(connections, connection.generation)?;
        self.poison_told.insert(connection.generation);
        self.check_left(connection)
    }

    /// A panic has taken the place of what the decoder had to say, which has just lost the
    /// connection.
    pub fn forgive_poison(&mut self, connections: &[&Connection], epoch: u64) {
        let lost = connections
            .iter()
            .filter(|connection| connection.dropped == Some(epoch));
        self.poison_excused
            .extend(lost.map(|connection| connection.generation));
    }
}
