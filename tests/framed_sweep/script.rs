//! The codecs of the sweep, and their messages.

use std::fmt::Debug;
use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec, LinesCodec};

/// A codec of the sweep, and its messages.
pub(crate) trait Script: Clone + Send + Sync + 'static
where
    Self::Codec: Decoder<Item = Self::Arrives> + Encoder<Self::Message> + Clone + Send + Sync,
    <Self::Codec as Decoder>::Error: Debug,
    <Self::Codec as Encoder<Self::Message>>::Error: Debug,
{
    type Codec: 'static;
    type Message: Clone + PartialEq + Debug + From<Self::Arrives>;
    type Arrives: Debug;

    fn codec() -> Self::Codec;
    fn messages() -> Vec<Self::Message>;

    /// What a peer sends that begins with these.
    fn encoded(messages: &[Self::Message]) -> Vec<u8> {
        let (mut codec, mut bytes) = (Self::codec(), BytesMut::new());
        for message in messages {
            codec.encode(message.clone(), &mut bytes).unwrap();
        }
        bytes.to_vec()
    }

    /// What a peer makes of bytes: whole messages, and nothing of half of one.
    fn decoded(bytes: &[u8]) -> Vec<Self::Message> {
        let (mut codec, mut bytes) = (Self::codec(), BytesMut::from(bytes));
        std::iter::from_fn(|| codec.decode(&mut bytes).unwrap().map(Into::into)).collect()
    }

    /// Where each message ends.
    fn ends() -> Vec<usize> {
        let messages = Self::messages();
        (1..=messages.len())
            .map(|n| Self::encoded(&messages[..n]).len())
            .collect()
    }
}

#[derive(Clone)]
pub(crate) struct Lengths;

impl Script for Lengths {
    type Codec = LengthDelimitedCodec;
    type Message = Bytes;
    type Arrives = BytesMut;
    fn codec() -> Self::Codec {
        LengthDelimitedCodec::new()
    }
    fn messages() -> Vec<Bytes> {
        [1, 0, 5, 40, 2, 90, 3]
            .iter()
            .zip(b'a'..)
            .map(|(n, letter)| Bytes::from(vec![letter; *n]))
            .collect()
    }
}

#[derive(Clone)]
pub(crate) struct Lines;

impl Script for Lines {
    type Codec = LinesCodec;
    type Message = String;
    type Arrives = String;
    fn codec() -> Self::Codec {
        LinesCodec::new()
    }
    fn messages() -> Vec<String> {
        [
            "a line",
            "",
            "b",
            "a line that is rather longer than the others",
            "c",
        ]
        .map(String::from)
        .into()
    }
}

/// Numbers its messages from 0 on each connection, and refuses any other number: one that is
/// not fresh on each connection fails.
#[derive(Clone, Default)]
pub(crate) struct Numbering {
    expected: u8,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Numbered(pub(crate) u8, pub(crate) u8);

impl Decoder for Numbering {
    type Item = Numbered;
    type Error = io::Error;
    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Numbered>> {
        if bytes.len() < 4 {
            return Ok(None);
        }
        let (number, value) = (bytes.get_u8(), bytes.get_u8());
        bytes.advance(2);
        if number != self.expected {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.expected += 1;
        Ok(Some(Numbered(number, value)))
    }
}

impl Encoder<Numbered> for Numbering {
    type Error = io::Error;
    fn encode(&mut self, message: Numbered, bytes: &mut BytesMut) -> io::Result<()> {
        bytes.put_slice(&[message.0, message.1, !message.0, !message.1]);
        Ok(())
    }
}

#[derive(Clone)]
pub(crate) struct Numbers;

impl Script for Numbers {
    type Codec = Numbering;
    type Message = Numbered;
    type Arrives = Numbered;
    fn codec() -> Self::Codec {
        Numbering::default()
    }
    fn messages() -> Vec<Numbered> {
        (0..6).map(|n| Numbered(n, 7 * n)).collect()
    }
}
