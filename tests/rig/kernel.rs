//! What the client's operations on a scripted connection meet.

use std::io::ErrorKind;

use super::connection::Connection;

impl Connection {
    /// Returns `None` if there is nothing to read.
    pub fn read(&mut self, max: usize) -> Option<Result<Vec<u8>, ErrorKind>> {
        if let Some(kind) = self.transient_read.take() {
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
        if let Some(kind) = self.transient_write.take() {
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
