//! As much of MQTT 3.1.1 as a client needs at quality of service 1.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

/// The types of packets, in the upper half of their first byte.
const CONNECT: u8 = 1;
const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const SUBSCRIBE: u8 = 8;
const SUBACK: u8 = 9;
const PINGREQ: u8 = 12;
const PINGRESP: u8 = 13;

/// In the lower half of the first byte.
const QOS_1: u8 = 0b0010;
const DUP: u8 = 0b1000;

/// A remaining length that takes more than four bytes is malformed.
const MAX_LENGTH_BYTES: usize = 4;

/// What the client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToBroker {
    /// With `clean_session = false`: the broker keeps the subscriptions, and what it has sent and
    /// was not acknowledged. Without keepalive.
    Connect {
        client: &'static str,
    },
    Subscribe {
        id: u16,
        topic: &'static str,
    },
    /// At quality of service 1.
    Publish {
        id: u16,
        topic: &'static str,
        payload: Vec<u8>,
    },
    PubAck {
        id: u16,
    },
    PingReq,
}

/// What the broker sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromBroker {
    ConnAck {
        has_session: bool,
        code: u8,
    },
    SubAck {
        id: u16,
        code: u8,
    },
    Publish {
        id: u16,
        is_repeated: bool,
        payload: Bytes,
    },
    PubAck {
        id: u16,
    },
    PingResp,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct MqttCodec {
    /// Packets that arrived during the login and are for the client.
    buffered: VecDeque<FromBroker>,
}

impl MqttCodec {
    /// Puts a packet back: it is decoded again, before anything that is still to come.
    pub(crate) fn hold(&mut self, packet: FromBroker) {
        self.buffered.push_back(packet);
    }
}

impl Decoder for MqttCodec {
    type Item = FromBroker;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<FromBroker>> {
        if let Some(packet) = self.buffered.pop_front() {
            return Ok(Some(packet));
        }
        let Some((header, length)) = header(bytes)? else {
            return Ok(None);
        };
        if bytes.len() < header + length {
            bytes.reserve(header + length - bytes.len());
            return Ok(None);
        }
        let first = bytes[0];
        bytes.advance(header);
        parse(first, bytes.split_to(length).freeze()).map(Some)
    }
}

/// The length of the fixed header, and that of the rest; `None` if the header is not whole.
fn header(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let mut length = 0;
    for (i, byte) in bytes.iter().skip(1).enumerate() {
        if i == MAX_LENGTH_BYTES {
            return Err(malformed("its length has no end"));
        }
        length |= usize::from(byte & 0x7F) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok(Some((i + 2, length)));
        }
    }
    Ok(None)
}

fn parse(first: u8, mut body: Bytes) -> io::Result<FromBroker> {
    let short = |_| malformed("it is too short");
    let packet = match first >> 4 {
        CONNACK => FromBroker::ConnAck {
            has_session: body.try_get_u8().map_err(short)? & 1 == 1,
            code: body.try_get_u8().map_err(short)?,
        },
        SUBACK => FromBroker::SubAck {
            id: body.try_get_u16().map_err(short)?,
            code: body.try_get_u8().map_err(short)?,
        },
        PUBLISH => {
            let topic = usize::from(body.try_get_u16().map_err(short)?);
            if body.len() < topic {
                return Err(malformed("its topic is too long"));
            }
            body.advance(topic);
            return Ok(FromBroker::Publish {
                id: body.try_get_u16().map_err(short)?,
                is_repeated: first & DUP != 0,
                payload: body,
            });
        }
        PUBACK => FromBroker::PubAck {
            id: body.try_get_u16().map_err(short)?,
        },
        PINGRESP => FromBroker::PingResp,
        _ => return Err(malformed("its type is not known")),
    };
    match body.is_empty() {
        true => Ok(packet),
        false => Err(malformed("it is too long")),
    }
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("malformed packet: {why}"))
}

impl Encoder<ToBroker> for MqttCodec {
    type Error = io::Error;

    fn encode(&mut self, packet: ToBroker, bytes: &mut BytesMut) -> io::Result<()> {
        let mut body = BytesMut::new();
        let first = match packet {
            ToBroker::Connect { client } => {
                put_text(&mut body, "MQTT");
                // Level 4, no flags, so not a clean session, and no keepalive.
                body.put_slice(&[4, 0, 0, 0]);
                put_text(&mut body, client);
                CONNECT << 4
            }
            ToBroker::Subscribe { id, topic } => {
                body.put_u16(id);
                put_text(&mut body, topic);
                body.put_u8(1);
                SUBSCRIBE << 4 | 0b0010
            }
            ToBroker::Publish { id, topic, payload } => {
                put_text(&mut body, topic);
                body.put_u16(id);
                body.put_slice(&payload);
                PUBLISH << 4 | QOS_1
            }
            ToBroker::PubAck { id } => {
                body.put_u16(id);
                PUBACK << 4
            }
            ToBroker::PingReq => PINGREQ << 4,
        };
        bytes.put_u8(first);
        put_length(bytes, body.len());
        bytes.put_slice(&body);
        Ok(())
    }
}

fn put_text(bytes: &mut BytesMut, text: &str) {
    bytes.put_u16(u16::try_from(text.len()).unwrap());
    bytes.put_slice(text.as_bytes());
}

/// Seven bits a byte, the lowest first; the eighth says that there are more.
fn put_length(bytes: &mut BytesMut, mut length: usize) {
    loop {
        let low = u8::try_from(length & 0x7F).unwrap();
        length >>= 7;
        bytes.put_u8(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
}

#[test]
fn a_publish_of_any_length_is_decoded_once_it_is_whole() {
    for length in [0, 1, 120, 121, 127, 128, 16_370, 16_384, 70_000] {
        let (mut codec, mut whole) = (MqttCodec::default(), BytesMut::new());
        let publish = ToBroker::Publish {
            id: 7,
            topic: "t",
            payload: vec![b'x'; length],
        };
        codec.encode(publish, &mut whole).unwrap();
        for cut in [1, 2, whole.len() - 1] {
            let mut part = BytesMut::from(&whole[..cut]);
            assert_eq!(codec.decode(&mut part).unwrap(), None);
        }
        let decoded = codec.decode(&mut whole).unwrap();
        let expected = FromBroker::Publish {
            id: 7,
            is_repeated: false,
            payload: vec![b'x'; length].into(),
        };
        assert_eq!(decoded, Some(expected));
        assert!(whole.is_empty());
    }
}

#[test]
fn a_malformed_packet_is_an_error() {
    for bytes in [
        &[0xFF, 0][..],
        &[0x40, 1, 0],
        &[0x40, 3, 0, 1, 0],
        &[0x30, 2, 0, 9],
        &[0x40, 0x80, 0x80, 0x80, 0x80, 1],
    ] {
        let error = MqttCodec::default().decode(&mut bytes.into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{bytes:?}");
    }
}
