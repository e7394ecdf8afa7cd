//! The oracle of what is sent: which frames a connection may be given.

use std::collections::BTreeSet;
use std::ops::Range;

use reconnecting_stream::Resend;

use super::codec::{self, HEADER};
use super::connection::Connection;

#[derive(Debug)]
pub struct Sending {
    pub keeps_unconfirmed: bool,
    /// The encoded length of each accepted message; its number is its index.
    pub accepted: Vec<usize>,
    /// So many messages, from the first, were confirmed.
    pub confirmed: usize,
    /// With `Resend::Torn`: so many messages, from the first, were fully handed over.
    pub handed: usize,
    /// So many messages, from the first, are known to have arrived, and were not confirmed yet.
    pub known: usize,
    /// The connection and the next message of each transient message.
    pub transients: Vec<(Option<u64>, usize)>,
    /// A setting drops messages that were never fully handed over.
    pub may_drop: bool,
    /// Those that are known to have been dropped, since later ones were sent.
    dropped: BTreeSet<usize>,
    /// How many the client says to have dropped.
    pub said_dropped: usize,
}

impl Sending {
    pub fn new(resend: Resend, may_drop: bool) -> Self {
        Self {
            keeps_unconfirmed: resend != Resend::Torn,
            accepted: Vec::new(),
            confirmed: 0,
            handed: 0,
            known: 0,
            transients: Vec::new(),
            may_drop,
            dropped: BTreeSet::new(),
            said_dropped: 0,
        }
    }

    /// Returns the first message that a connection other than `connection` has yet to get.
    pub fn backlog_start(&self) -> usize {
        if self.keeps_unconfirmed {
            self.confirmed
        } else {
            self.handed
        }
    }

    /// Returns how many messages would be the backlog if there was no connection now.
    pub fn backlog(&self) -> usize {
        let first = self.backlog_start();
        let gone = self.dropped.range(first..).count() + self.unseen();
        (self.accepted.len() - first).saturating_sub(gone)
    }

    /// Returns whether a message waits that was never fully handed over.
    pub fn has_droppable(&self) -> bool {
        let from = self.handed.max(self.confirmed);
        self.accepted.len() > from + self.unseen()
    }

    /// Returns how many messages of this range are not known to have been dropped.
    pub fn not_dropped(&self, range: Range<usize>) -> usize {
        range.len() - self.dropped.range(range.clone()).count()
    }

    /// Returns how many messages were dropped that are not known yet.
    pub fn unseen(&self) -> usize {
        self.said_dropped.saturating_sub(self.dropped.len())
    }

    /// Every message was sent, or is counted as dropped.
    pub fn check_dropped(&self) -> Result<(), String> {
        let rest = self.accepted.len() - self.handed;
        let is_counted = self.unseen() == 0 || self.unseen() <= rest;
        if is_counted && self.dropped.len() <= self.said_dropped {
            return Ok(());
        }
        Err(format!(
            "drop-count: {} said, {} seen, {rest} of the newest not sent",
            self.said_dropped,
            self.dropped.len()
        ))
    }

    /// Messages are left out: they have been dropped, if they may have been.
    fn leave_out(&mut self, range: Range<usize>) -> Result<(), String> {
        for index in range {
            let may_be_gone = self.may_drop && index >= self.handed;
            if !may_be_gone && !self.dropped.contains(&index) {
                return Err(format!("gap: message {index} is left out: \"no gap\""));
            }
            self.dropped.insert(index);
        }
        Ok(())
    }

    /// Returns the encoded bytes of the backlog.
    pub fn backlog_bytes(&self) -> usize {
        self.bytes_from(self.backlog_start())
    }

    /// Returns the encoded bytes that may take room while this connection lives. What is confirmed
    /// before it was given whole still is: replies count "in the order in which each connection
    /// was given its messages", so nothing between them can be left out.
    pub fn kept_bytes(&self, connection: &Connection) -> usize {
        let next = connection.frames.data.last().map(|id| *id as usize + 1);
        self.bytes_from(next.unwrap_or(usize::MAX).min(self.backlog_start()))
    }

    fn bytes_from(&self, first: usize) -> usize {
        let lengths = self.accepted.iter().enumerate();
        lengths
            .skip(first)
            .filter(|(index, _)| !self.dropped.contains(index))
            .map(|(_, len)| len)
            .sum()
    }

    /// Returns whether everything up to message `upto` was given to this connection, or needs
    /// not be.
    pub fn is_given(&self, connection: &Connection, upto: usize) -> bool {
        let next = connection
            .frames
            .data
            .last()
            .map_or(0, |id| *id as usize + 1);
        upto <= self.backlog_start().max(next) || self.unseen() > 0
    }

    /// The client has handed bytes over: checks the frames that have become whole.
    pub fn classify(&mut self, connection: &mut Connection) -> Result<(), String> {
        while let Some((kind, id, len)) = codec::header(&connection.given[connection.parsed..]) {
            let end = connection.parsed + HEADER + len;
            if end > connection.given.len() {
                break;
            }
            if !codec::is_whole(id, &connection.given[connection.parsed + HEADER..end]) {
                return Err("torn: \"No frame is ever torn\"".into());
            }
            connection.parsed = end;
            match kind {
                codec::DATA => self.check_data(connection, id)?,
                codec::TRANSIENT => self.check_transient(connection, id)?,
                codec::HELLO => Self::check_hello(connection, id)?,
                _ => return Err(format!("torn: a frame of kind {kind} on the connection")),
            }
        }
        Ok(())
    }

    fn check_hello(connection: &mut Connection, id: u32) -> Result<(), String> {
        let frames = &mut connection.frames;
        if !frames.data.is_empty() {
            return Err("hello: \"a handshake ... before anything queued\"".into());
        }
        if id != frames.hellos {
            return Err("hello: the handshake's frames are not in order".into());
        }
        frames.hellos += 1;
        Ok(())
    }

    /// "Belongs to this connection alone: never sent again, dropped at a seam".
    fn check_transient(&self, connection: &mut Connection, id: u32) -> Result<(), String> {
        let (generation, next) = self.transients[id as usize];
        if generation != Some(connection.generation) {
            return Err(format!(
                "transient-resent: accepted on {generation:?}, sent on {}",
                connection.generation
            ));
        }
        if connection
            .frames
            .transient
            .last()
            .is_some_and(|last| *last >= id)
        {
            return Err("transient-again: \"never sent again\", and in order".into());
        }
        let overtaken = connection
            .frames
            .data
            .last()
            .is_some_and(|last| *last as usize >= next);
        if overtaken || !self.is_given(connection, next) {
            return Err("transient-order: it left before or after its neighbours".into());
        }
        connection.frames.transient.push(id);
        Ok(())
    }

    /// Returns whether a transient message of this connection was not given to it yet.
    pub fn has_transients_to_write(&self, connection: &Connection) -> bool {
        let of_line = self.transients.iter();
        let accepted = of_line
            .filter(|(generation, _)| *generation == Some(connection.generation))
            .count();
        connection.frames.transient.len() < accepted
    }

    fn check_data(&mut self, connection: &mut Connection, id: u32) -> Result<(), String> {
        let index = id as usize;
        let frames = &mut connection.frames;
        if index >= self.accepted.len() {
            return Err(format!("invented: message {id} was never accepted"));
        }
        if frames.hellos < frames.hellos_due {
            return Err("hello: \"what it left unwritten is written\", before the queue".into());
        }
        if self.dropped.contains(&index) {
            return Err(format!(
                "undropped: message {index} is sent after a later one"
            ));
        }
        if self.keeps_unconfirmed {
            self.check_resent(connection, index)?;
        } else if index > self.handed {
            self.leave_out(self.handed..index)?;
        } else if index < self.handed {
            return Err(format!(
                "torn-order: message {index} instead of {}: \"Torn (default) leaves them\", in order",
                self.handed
            ));
        }
        self.handed = self.handed.max(index + 1);
        connection.frames.data.push(id);
        if index < connection.frames.backlog {
            connection.frames.backlog_end = connection.parsed;
        }
        Ok(())
    }

    fn check_resent(&mut self, connection: &Connection, index: usize) -> Result<(), String> {
        let frames = &connection.frames;
        if let Some(last) = frames.data.last().filter(|last| index <= **last as usize) {
            return Err(format!(
                "reordered: {index} after {last}: \"no reordering\""
            ));
        }
        let next = frames.data.last().map_or(0, |last| *last as usize + 1);
        let confirmed_before = frames.confirmed_before;
        self.leave_out(next.max(self.confirmed)..index)?;
        if index < confirmed_before {
            return Err(format!(
                "confirmed-again: {index} was confirmed before the connection was made"
            ));
        }
        Ok(())
    }
}
