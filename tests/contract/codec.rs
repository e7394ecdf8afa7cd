//! A codec of lines that does what a test wants.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use tokio_util::bytes::{BufMut, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

/// The line that can't be decoded.
pub const BAD: &str = "bad";
/// The message at which the encoder fails after a part of it.
pub const UNENCODABLE: &str = "unencodable";
/// The message at which the encoder panics after a part of it.
pub const PANICS: &str = "panics";

/// Lines. Its encoder takes two types, so a method of `SinkExt` would need to be told which.
#[derive(Clone, Default)]
pub struct Lines {
    /// It takes all lines together and returns them one by one.
    pub hoards: bool,
    /// What `decode_eof` returns after the lines; `None` is an error.
    pub at_end: VecDeque<Option<&'static str>>,
    held: VecDeque<String>,
}

impl Lines {
    pub fn hoarding() -> Self {
        Self {
            hoards: true,
            ..Self::default()
        }
    }

    pub fn ending_with(at_end: impl IntoIterator<Item = Option<&'static str>>) -> Self {
        Self {
            at_end: at_end.into_iter().collect(),
            ..Self::default()
        }
    }
}

fn take_line(bytes: &mut BytesMut) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = bytes.split_to(end + 1);
    Some(String::from_utf8_lossy(&line[..end]).into_owned())
}

impl Decoder for Lines {
    type Item = String;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<String>> {
        while self.held.is_empty() || self.hoards {
            let Some(line) = take_line(bytes) else { break };
            self.held.push_back(line);
        }
        match self.held.pop_front() {
            Some(line) if line == BAD => Err(ErrorKind::InvalidData.into()),
            line => Ok(line),
        }
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> io::Result<Option<String>> {
        if let Some(line) = self.decode(bytes)? {
            return Ok(Some(line));
        }
        match self.at_end.pop_front() {
            Some(Some(line)) => Ok(Some(line.to_owned())),
            Some(None) => Err(io::Error::other("half a line")),
            None => Ok(None),
        }
    }
}

impl Encoder<&str> for Lines {
    type Error = io::Error;

    fn encode(&mut self, line: &str, bytes: &mut BytesMut) -> io::Result<()> {
        bytes.put_slice(line.as_bytes());
        assert_ne!(line, PANICS, "scripted");
        if line == UNENCODABLE {
            return Err(ErrorKind::InvalidInput.into());
        }
        bytes.put_u8(b'\n');
        Ok(())
    }
}

impl Encoder<u64> for Lines {
    type Error = io::Error;

    fn encode(&mut self, number: u64, bytes: &mut BytesMut) -> io::Result<()> {
        self.encode(&*number.to_string(), bytes)
    }
}
