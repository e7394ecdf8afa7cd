//! As much of the text protocol of NATS as a client needs that publishes and subscribes.

use std::io::{self, ErrorKind, Write};
use std::str::{FromStr, from_utf8};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

const LINE_END: &[u8] = b"\r\n";

/// What the client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToServer {
    /// With `is_verbose` the server answers each message with `+OK`, apart from `PONG`.
    Connect {
        is_verbose: bool,
    },
    Sub {
        subject: &'static str,
    },
    Pub {
        subject: &'static str,
        payload: Vec<u8>,
    },
    Ping,
    Pong,
}

/// What the server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromServer {
    Info,
    Ok,
    Err(String),
    Msg { payload: Bytes },
    Ping,
    Pong,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NatsCodec;

impl Decoder for NatsCodec {
    type Item = FromServer;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<FromServer>> {
        let Some(length) = line_length(bytes) else {
            return Ok(None);
        };
        let line = from_utf8(&bytes[..length]).map_err(|_| malformed(bytes))?;
        let mut words = line.split(' ');
        let message = match words.next().unwrap_or_default() {
            "INFO" => FromServer::Info,
            "+OK" => FromServer::Ok,
            "-ERR" => FromServer::Err(line.to_owned()),
            "PING" => FromServer::Ping,
            "PONG" => FromServer::Pong,
            "MSG" => {
                let size = words.next_back().map(usize::from_str);
                let Some(Ok(size)) = size else {
                    return Err(malformed(bytes));
                };
                return payload(bytes, length + LINE_END.len(), size);
            }
            _ => return Err(malformed(bytes)),
        };
        bytes.advance(length + LINE_END.len());
        Ok(Some(message))
    }
}

/// Takes the payload behind the line of a message, once it is whole.
fn payload(bytes: &mut BytesMut, start: usize, size: usize) -> io::Result<Option<FromServer>> {
    let end = start + size + LINE_END.len();
    if bytes.len() < end {
        bytes.reserve(end - bytes.len());
        return Ok(None);
    }
    if &bytes[start + size..end] != LINE_END {
        return Err(malformed(bytes));
    }
    bytes.advance(start);
    let payload = bytes.split_to(size).freeze();
    bytes.advance(LINE_END.len());
    Ok(Some(FromServer::Msg { payload }))
}

fn line_length(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(LINE_END.len())
        .position(|end| end == LINE_END)
}

fn malformed(bytes: &[u8]) -> io::Error {
    let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
    io::Error::new(ErrorKind::InvalidData, format!("malformed: {begin:?}"))
}

impl Encoder<ToServer> for NatsCodec {
    type Error = io::Error;

    fn encode(&mut self, message: ToServer, bytes: &mut BytesMut) -> io::Result<()> {
        let mut writer = bytes.writer();
        match message {
            ToServer::Connect { is_verbose } => {
                let options = format!(r#"{{"verbose":{is_verbose},"pedantic":false}}"#);
                write!(writer, "CONNECT {options}\r\n")
            }
            ToServer::Sub { subject } => write!(writer, "SUB {subject} 1\r\n"),
            ToServer::Pub { subject, payload } => {
                write!(writer, "PUB {subject} {}\r\n", payload.len())?;
                writer.write_all(&payload)?;
                writer.write_all(LINE_END)
            }
            ToServer::Ping => writer.write_all(b"PING\r\n"),
            ToServer::Pong => writer.write_all(b"PONG\r\n"),
        }
    }
}

#[test]
fn a_message_is_decoded_once_it_is_whole() {
    let whole = b"MSG updates 1 5\r\na\r\nbc\r\nPING\r\n";
    for cut in 0..21 {
        let mut part = BytesMut::from(&whole[..cut]);
        assert_eq!(NatsCodec.decode(&mut part).unwrap(), None, "{cut} bytes");
    }
    let mut bytes = BytesMut::from(&whole[..]);
    let payload = Bytes::from_static(b"a\r\nbc");
    let decoded = NatsCodec.decode(&mut bytes).unwrap();
    assert_eq!(decoded, Some(FromServer::Msg { payload }));
    assert_eq!(
        NatsCodec.decode(&mut bytes).unwrap(),
        Some(FromServer::Ping)
    );
    assert_eq!(NatsCodec.decode(&mut bytes).unwrap(), None);
}

#[test]
fn a_message_that_does_not_end_where_it_says_is_an_error() {
    for bytes in [
        "MSG updates 1 2\r\nabc\r\n",
        "MSG updates 1 x\r\n",
        "HELLO\r\n",
    ] {
        let error = NatsCodec.decode(&mut bytes.into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{bytes}");
    }
}
