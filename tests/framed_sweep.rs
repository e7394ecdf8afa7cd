//! A reset at every byte offset of either direction: messages arrive whole, in order, and what
//! is missing is exactly what a dead connection had taken.
#![cfg(feature = "codec")]

mod support;

#[path = "framed_sweep/script.rs"]
mod script;

use std::fmt::Debug;

use futures::{SinkExt, StreamExt};
use reconnecting_stream::{Backoff, Policy, ReconnectingFramed, Resend, Seam};
use script::{Lengths, Lines, Numbers, Script};
use support::Network;

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
        // Only a peer counts from 0 on each connection, so decode the bytes by hand.
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

/// `Unconfirmed`, without confirmations: the next connection gets all of it again.
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
    /// A writer meets the loss, when everything has arrived.
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

fn total<S: Script>() -> usize {
    *S::ends().last().unwrap()
}

#[tokio::test(start_paused = true)]
async fn length_delimited_messages_that_were_cut_go_whole_to_the_next_connection() {
    assert_eq!(torn::<Lengths>().await, 3 * total::<Lengths>());
}

#[tokio::test(start_paused = true)]
async fn unconfirmed_length_delimited_messages_are_sent_again() {
    assert_eq!(unconfirmed::<Lengths>().await, 3 * total::<Lengths>());
}

#[tokio::test(start_paused = true)]
async fn two_resets_tear_and_lose_no_length_delimited_messages() {
    assert_eq!(
        torn_twice::<Lengths>().await,
        total::<Lengths>() * total::<Lengths>()
    );
}

#[tokio::test(start_paused = true)]
async fn length_delimited_messages_that_arrived_whole_are_delivered_before_the_seam() {
    assert_eq!(arriving::<Lengths>().await, 18 * (total::<Lengths>() + 1));
}

#[tokio::test(start_paused = true)]
async fn lines_that_were_cut_go_whole_to_the_next_connection() {
    assert_eq!(torn::<Lines>().await, 3 * total::<Lines>());
}

#[tokio::test(start_paused = true)]
async fn unconfirmed_lines_are_sent_again() {
    assert_eq!(unconfirmed::<Lines>().await, 3 * total::<Lines>());
}

#[tokio::test(start_paused = true)]
async fn two_resets_tear_and_lose_no_lines() {
    assert_eq!(
        torn_twice::<Lines>().await,
        total::<Lines>() * total::<Lines>()
    );
}

#[tokio::test(start_paused = true)]
async fn lines_that_arrived_whole_are_delivered_before_the_seam() {
    assert_eq!(arriving::<Lines>().await, 18 * (total::<Lines>() + 1));
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_stateful_codec_that_were_cut_go_whole_to_the_next_connection() {
    assert_eq!(torn::<Numbers>().await, 3 * total::<Numbers>());
}

#[tokio::test(start_paused = true)]
async fn unconfirmed_messages_of_a_stateful_codec_are_sent_again() {
    assert_eq!(unconfirmed::<Numbers>().await, 3 * total::<Numbers>());
}

#[tokio::test(start_paused = true)]
async fn two_resets_tear_and_lose_no_messages_of_a_stateful_codec() {
    assert_eq!(
        torn_twice::<Numbers>().await,
        total::<Numbers>() * total::<Numbers>()
    );
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_stateful_codec_that_arrived_whole_are_delivered_before_the_seam() {
    assert_eq!(arriving::<Numbers>().await, 18 * (total::<Numbers>() + 1));
}
