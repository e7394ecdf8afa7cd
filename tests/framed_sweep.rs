//! A reset at every byte offset of either direction: messages arrive whole, in order, and what
//! is missing is exactly what a dead connection had taken.
#![cfg(feature = "codec")]

mod support;

use std::fmt::Debug;
use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use reconnecting_stream::{Backoff, Policy, ReconnectingFramed, Resend, Seam};
use support::Network;
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec, LinesCodec};

/// A codec of the sweep, and its messages.
trait Script: Clone + Send + Sync + 'static
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
struct Lengths;
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
struct Lines;
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
struct Numbering {
    expected: u8,
}

#[derive(Clone, Debug, PartialEq)]
struct Numbered(u8, u8);

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
struct Numbers;
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

fn policy() -> Policy {
    Policy::default().backoff(Backoff::none())
}

const CHUNKS: [usize; 3] = [1, 7, usize::MAX];

/// Everything is sent while the first connections are reset after so many bytes. What the peer
/// of each connection has got, as whole messages.
async fn send_all<S: Script>(
    resend: Resend,
    chunk: usize,
    resets: &[usize],
) -> Vec<Vec<S::Message>> {
    let network = Network::new();
    let cuts = resets.to_vec();
    network.greet(move |generation, peer| {
        peer.set_chunk(chunk);
        if let Some(cut) = cuts.get(generation - 1) {
            peer.reset_after_writing(*cut);
        }
    });
    let mut framed = ReconnectingFramed::builder(network.connector(), S::codec())
        .policy(policy())
        .resend(resend)
        .connect()
        .await
        .unwrap();
    for message in S::messages() {
        framed.feed(message).await.unwrap();
    }
    framed.flush().await.unwrap();
    (1..=network.connections())
        .map(|generation| received::<S>(&network, generation))
        .collect()
}

fn received<S: Script>(network: &Network, generation: usize) -> Vec<S::Message> {
    let bytes = network.peer(generation).received();
    if std::any::type_name::<S>().ends_with("Numbers") {
        // Numbers begin anew only at the peer's side: look at the bytes.
        return whole_numbers::<S>(&bytes);
    }
    S::decoded(&bytes)
}

/// Messages whose number tells which they are.
fn whole_numbers<S: Script>(bytes: &[u8]) -> Vec<S::Message> {
    let all = S::messages();
    bytes
        .chunks_exact(4)
        .map(|message| {
            assert_eq!((message[2], message[3]), (!message[0], !message[1]), "torn");
            all[usize::from(message[0])].clone()
        })
        .collect()
}

/// `Torn`: each message is on exactly one connection, whole.
async fn torn<S: Script>() -> usize {
    let (all, ends) = (S::messages(), S::ends());
    let mut cases = 0;
    for chunk in CHUNKS {
        for cut in 0..ends[ends.len() - 1] {
            let got = send_all::<S>(Resend::Torn, chunk, &[cut]).await;
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(
                got,
                [&all[..whole], &all[whole..]],
                "chunk {chunk}, cut at {cut}"
            );
            cases += 1;
        }
    }
    cases
}

/// `Unconfirmed`, and nobody confirms: the next connection gets all of it again.
async fn unconfirmed<S: Script>() -> usize {
    let (all, ends) = (S::messages(), S::ends());
    let mut cases = 0;
    for chunk in CHUNKS {
        for cut in 0..ends[ends.len() - 1] {
            let got =
                send_all::<S>(Resend::Unconfirmed { max_bytes: 1 << 20 }, chunk, &[cut]).await;
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(
                got,
                [&all[..whole], &all[..]],
                "chunk {chunk}, cut at {cut}"
            );
            cases += 1;
        }
    }
    cases
}

/// Two resets, at every pair of offsets.
async fn torn_twice<S: Script>() -> usize {
    let (all, total) = (S::messages(), *S::ends().last().unwrap());
    let mut cases = 0;
    for first in 0..total {
        for second in 0..total {
            let got = send_all::<S>(Resend::Torn, usize::MAX, &[first, second]).await;
            assert_eq!(got.concat(), all, "cut at {first} and {second}");
            cases += 1;
        }
    }
    cases
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Finder {
    Reader,
    /// The loss is found by somebody who writes, when everything has arrived.
    Writer,
}

/// The peer of the first connection sends everything, and is reset after `cut` bytes; the next
/// one sends everything. What the reader gets of it, with `None` for a seam.
async fn read_all<S: Script>(
    seam: Seam,
    finder: Finder,
    chunk: usize,
    cut: usize,
) -> Vec<Option<S::Message>> {
    let network = Network::new();
    let everything = S::encoded(&S::messages());
    network.greet(move |generation, peer| {
        peer.set_chunk(chunk);
        peer.send(&everything);
        if generation == 1 {
            peer.reset_after_reading(cut);
        }
    });
    let mut framed = ReconnectingFramed::builder(network.connector(), S::codec())
        .policy(policy())
        .seam(seam)
        .connect()
        .await
        .unwrap();
    if finder == Finder::Writer {
        framed.send(S::messages()[0].clone()).await.unwrap();
        assert_eq!(framed.generation(), 2, "found before anything was written");
        assert_eq!(network.peer(1).received(), b"");
    }
    let whole = S::ends().iter().filter(|end| **end <= cut).count();
    let seams = usize::from(seam != Seam::Hidden);
    let mut got = Vec::new();
    for _ in 0..whole + seams + S::messages().len() {
        got.push(match framed.next().await {
            Some(Ok(message)) => Some(message.into()),
            Some(Err(error)) => {
                let told = format!("{error:?}");
                assert!(told.contains("ConnectionLost { generation: 1,"), "{told}");
                None
            }
            None => None,
        });
    }
    got
}

async fn arriving<S: Script>() -> usize {
    let (all, ends) = (S::messages(), S::ends());
    let mut cases = 0;
    for seam in [Seam::Hidden, Seam::Error, Seam::Eof] {
        for finder in [Finder::Reader, Finder::Writer] {
            for chunk in CHUNKS {
                for cut in 0..=ends[ends.len() - 1] {
                    let got = read_all::<S>(seam, finder, chunk, cut).await;
                    let whole = ends.iter().filter(|end| **end <= cut).count();
                    let before = all[..whole].iter().cloned().map(Some);
                    let between = (seam != Seam::Hidden).then_some(None);
                    let after = all.iter().cloned().map(Some);
                    let expected: Vec<_> = before.chain(between).chain(after).collect();
                    assert_eq!(
                        got, expected,
                        "{seam:?} {finder:?} chunk {chunk} cut at {cut}"
                    );
                    cases += 1;
                }
            }
        }
    }
    cases
}

macro_rules! sweep {
    ($($name:ident: $script:ty;)*) => {$(
        mod $name {
            use super::*;

            fn total() -> usize {
                *<$script>::ends().last().unwrap()
            }

            #[tokio::test(start_paused = true)]
            async fn what_is_torn_goes_whole_to_the_next_connection() {
                assert_eq!(torn::<$script>().await, 3 * total());
            }

            #[tokio::test(start_paused = true)]
            async fn what_is_unconfirmed_goes_again() {
                assert_eq!(unconfirmed::<$script>().await, 3 * total());
            }

            #[tokio::test(start_paused = true)]
            async fn two_resets_tear_nothing() {
                assert_eq!(torn_twice::<$script>().await, total() * total());
            }

            #[tokio::test(start_paused = true)]
            async fn what_arrived_whole_is_delivered_before_the_seam() {
                assert_eq!(arriving::<$script>().await, 18 * (total() + 1));
            }
        }
    )*};
}

sweep! {
    length_delimited: Lengths;
    lines: Lines;
    a_stateful_codec: Numbers;
}
