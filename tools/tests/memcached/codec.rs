//! `set` and `get` of memcached's text protocol.

use std::io::{self, ErrorKind, Write};
use std::str::{FromStr, from_utf8};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

const LINE_END: &[u8] = b"\r\n";
/// Behind the value of a `get`.
const VALUE_END: &[u8] = b"\r\nEND\r\n";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Set { key: String, value: Vec<u8> },
    Get { key: String },
}

/// Does not say which command it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Stored,
    Value(Bytes),
    /// There is no value.
    Missing,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MemcachedCodec;

impl Decoder for MemcachedCodec {
    type Item = Reply;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Reply>> {
        let end = |part: &[u8]| part == LINE_END;
        let Some(length) = bytes.windows(LINE_END.len()).position(end) else {
            return Ok(None);
        };
        let line = from_utf8(&bytes[..length]).map_err(|_| malformed(bytes))?;
        let reply = match line.split(' ').next().unwrap_or_default() {
            "STORED" => Reply::Stored,
            "END" => Reply::Missing,
            "VALUE" => {
                let size = line.rsplit(' ').next().map(usize::from_str);
                let Some(Ok(size)) = size else {
                    return Err(malformed(bytes));
                };
                return value(bytes, length + LINE_END.len(), size);
            }
            _ => return Err(malformed(bytes)),
        };
        bytes.advance(length + LINE_END.len());
        Ok(Some(reply))
    }
}

/// Takes the value behind its line, once all of the reply is there.
fn value(bytes: &mut BytesMut, start: usize, size: usize) -> io::Result<Option<Reply>> {
    let end = start + size + VALUE_END.len();
    if bytes.len() < end {
        bytes.reserve(end - bytes.len());
        return Ok(None);
    }
    if &bytes[start + size..end] != VALUE_END {
        return Err(malformed(bytes));
    }
    bytes.advance(start);
    let value = bytes.split_to(size).freeze();
    bytes.advance(VALUE_END.len());
    Ok(Some(Reply::Value(value)))
}

fn malformed(bytes: &[u8]) -> io::Error {
    let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
    io::Error::new(ErrorKind::InvalidData, format!("malformed: {begin:?}"))
}

impl Encoder<Command> for MemcachedCodec {
    type Error = io::Error;

    fn encode(&mut self, command: Command, bytes: &mut BytesMut) -> io::Result<()> {
        let mut writer = bytes.writer();
        match command {
            Command::Set { key, value } => {
                write!(writer, "set {key} 0 0 {}\r\n", value.len())?;
                writer.write_all(&value)?;
                writer.write_all(LINE_END)
            }
            Command::Get { key } => write!(writer, "get {key}\r\n"),
        }
    }
}

#[test]
fn a_reply_is_decoded_once_it_is_whole() {
    let replies = [
        (&b"STORED\r\n"[..], Reply::Stored),
        (b"END\r\n", Reply::Missing),
        (
            b"VALUE k 0 5\r\na\r\nbc\r\nEND\r\n",
            Reply::Value(Bytes::from_static(b"a\r\nbc")),
        ),
    ];
    for (whole, reply) in replies {
        for cut in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..cut]);
            assert_eq!(MemcachedCodec.decode(&mut part).unwrap(), None);
        }
        let mut bytes = BytesMut::from(whole);
        assert_eq!(MemcachedCodec.decode(&mut bytes).unwrap(), Some(reply));
        assert!(bytes.is_empty());
    }
}

#[test]
fn a_reply_that_does_not_end_where_it_says_is_an_error() {
    for bytes in [
        "VALUE k 0 2\r\nabc\r\nEND\r\n",
        "VALUE k 0 x\r\n",
        "ERROR\r\n",
    ] {
        let error = MemcachedCodec.decode(&mut bytes.into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{bytes}");
    }
}
