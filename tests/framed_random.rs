//! Random histories of a `ReconnectingFramed`: whatever happens, messages are whole, in order,
//! and none is missing.
#![cfg(feature = "codec")]

mod support;

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::{Sink, Stream};
use reconnecting_stream::{Backoff, Connect, Policy, ReconnectingFramed, Resend, Seam};
use support::{Fault, Network, Outcome, Task, Wire};
use tokio::time::advance;
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};

const HISTORIES: u64 = 3_000;
const STEPS: usize = 120;

/// Xorshift, from "Xorshift RNGs" by G. Marsaglia.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % n
    }
}

/// A message that tells its number, and shows if it was torn.
fn message(number: u32) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u32(number);
    bytes.put_bytes(number.to_le_bytes()[0], number as usize * 7 % 30);
    bytes.freeze()
}

fn number(bytes: &[u8]) -> u32 {
    let number = (&mut &*bytes).try_get_u32().expect("a torn message");
    assert_eq!(bytes, message(number), "a torn message");
    number
}

/// The numbers of the whole messages of a connection.
fn numbers(bytes: &[u8]) -> Vec<u32> {
    let (mut codec, mut bytes) = (LengthDelimitedCodec::new(), BytesMut::from(bytes));
    std::iter::from_fn(|| codec.decode(&mut bytes).unwrap())
        .map(|message| number(&message))
        .collect()
}

/// What the peer of a generation sends: messages of that thousand.
fn greeting(generation: usize) -> Vec<u8> {
    let (mut codec, mut bytes) = (LengthDelimitedCodec::new(), BytesMut::new());
    for i in 0..20 {
        let number = u32::try_from(generation).unwrap() * 1000 + i;
        codec.encode(message(number), &mut bytes).unwrap();
    }
    bytes.to_vec()
}

fn network(mut random: Random) -> Network {
    let network = Network::new();
    network.script((0..40).map(|_| match random.below(8) {
        0 => Outcome::Refuses(std::io::ErrorKind::ConnectionRefused),
        1 => Outcome::Hangs,
        2 => Outcome::AcceptsAfter(Duration::from_millis(30)),
        3 => Outcome::AcceptsThen(Fault::Reset),
        _ => Outcome::Accepts,
    }));
    network.greet(move |generation, peer| {
        peer.set_chunk(1 + random.below(40));
        peer.send(&greeting(generation));
        // After the scripted attempts the network is well.
        if generation < 12 {
            match random.below(4) {
                0 => peer.reset_after_reading(random.below(300)),
                1 => peer.reset_after_writing(random.below(300)),
                2 => peer.set_room(random.below(200)),
                _ => {}
            }
        }
    });
    network
}

/// What the user of the messages does, and what is known of it.
struct User<C: Connect> {
    framed: ReconnectingFramed<C, LengthDelimitedCodec>,
    sent: u32,
    confirmed: u32,
    arrived: Vec<u32>,
}

impl<C: Connect<Io = Wire>> User<C> {
    /// Accepts at most one message more.
    fn feed(&mut self) {
        let mut framed = Pin::new(&mut self.framed);
        let ready = Task::new().poll(|cx| Sink::<Bytes>::poll_ready(framed.as_mut(), cx));
        if let Poll::Ready(ready) = ready {
            ready.unwrap();
            framed.start_send(message(self.sent)).unwrap();
            self.sent += 1;
        }
    }

    fn flush(&mut self) -> bool {
        let framed = Pin::new(&mut self.framed);
        let flushed = Task::new().poll(|cx| Sink::<Bytes>::poll_flush(framed, cx));
        matches!(flushed, Poll::Ready(Ok(())))
    }

    fn read(&mut self) {
        let framed = Pin::new(&mut self.framed);
        match Task::new().poll(|cx| framed.poll_next(cx)) {
            Poll::Ready(Some(Ok(bytes))) => self.arrived.push(number(&bytes)),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
            Poll::Ready(None) => panic!("the end"),
        }
    }

    /// Confirms what the peers have, as far as it goes without a gap.
    fn confirm(&mut self, network: &Network) {
        let known: Vec<u32> = received(network).concat();
        let mut next = self.confirmed;
        while known.contains(&next) {
            next += 1;
        }
        self.framed.confirm((next - self.confirmed) as usize);
        self.confirmed = next;
    }

    async fn step(&mut self, network: &Network, random: &mut Random, confirms: bool) {
        match random.below(12) {
            0..=3 => self.feed(),
            4 | 5 => drop(self.flush()),
            6..=8 => self.read(),
            9 if confirms => self.confirm(network),
            10 if random.below(6) == 0 => self.framed.reconnect(),
            _ => advance(Duration::from_millis(20)).await,
        }
        if network.connections() > 0 && random.below(15) == 0 {
            let peer = network.peer(network.connections());
            match random.below(3) {
                0 => peer.set_room(usize::MAX),
                1 => peer.fault_unnoticed(Fault::Reset),
                _ => peer.close(),
            }
        }
    }
}

fn received(network: &Network) -> Vec<Vec<u32>> {
    (1..=network.connections())
        .map(|generation| numbers(&network.peer(generation).received()))
        .collect()
}

async fn history(seed: u64, resend: Resend) -> u64 {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let network = network(random.clone());
    let seam = [Seam::Hidden, Seam::Error][random.below(2)];
    let policy = Policy::default()
        .backoff(Backoff::constant(Duration::from_millis(10)))
        .attempt_timeout(Duration::from_millis(50))
        .max_attempts(None);
    let framed = ReconnectingFramed::builder(network.connector(), LengthDelimitedCodec::new())
        .policy(policy)
        .seam(seam)
        .resend(resend)
        .max_queued(100)
        .lazy();
    let mut user = User {
        framed,
        sent: 0,
        confirmed: 0,
        arrived: Vec::new(),
    };
    for _ in 0..STEPS {
        user.step(&network, &mut random, resend != Resend::Torn)
            .await;
    }
    // Everything goes out in the end.
    for _ in 0..2_000 {
        if network.connections() > 0 {
            network.peer(network.connections()).set_room(usize::MAX);
        }
        if user.flush() && user.framed.get_ref().is_some() {
            break;
        }
        user.read();
        advance(Duration::from_millis(20)).await;
    }
    check(&user, &received(&network), resend);
    user.framed.generation()
}

fn check<C: Connect>(user: &User<C>, received: &[Vec<u32>], resend: Resend) {
    let all: Vec<u32> = (0..user.sent).collect();
    match resend {
        // The scripted connections deliver what they take: each message once, in order.
        Resend::Torn => assert_eq!(received.concat(), all),
        _ => {
            let mut next = 0;
            for connection in received {
                // What is confirmed meanwhile need not be sent again.
                assert!(connection.is_sorted_by(|a, b| a < b), "{received:?}");
                for number in connection {
                    assert!(*number <= next, "a gap before {number}: {received:?}");
                    next = next.max(number + 1);
                }
            }
            assert_eq!(next, user.sent, "{received:?}");
        }
    }
    // Of each connection a beginning, in order, and none of an older one after a newer one.
    assert!(
        user.arrived.is_sorted_by(|a, b| a < b),
        "{:?}",
        user.arrived
    );
    for pair in user.arrived.windows(2) {
        let is_next = pair[1] == pair[0] + 1;
        assert!(is_next || pair[1] % 1000 == 0, "{:?}", user.arrived);
    }
}

async fn histories(resend: Resend) {
    let mut connections = 0;
    for seed in 1..=HISTORIES {
        connections += history(seed, resend).await;
    }
    assert!(
        connections > 3 * HISTORIES,
        "too little happened: {connections}"
    );
}

#[tokio::test(start_paused = true)]
async fn three_thousand_random_histories_with_torn_lose_and_repeat_nothing() {
    histories(Resend::Torn).await;
}

#[tokio::test(start_paused = true)]
async fn three_thousand_random_histories_with_unconfirmed_miss_nothing() {
    histories(Resend::Unconfirmed { max_bytes: 300 }).await;
}

#[test]
fn the_check_detects_a_torn_message() {
    let whole = message(20);
    assert_eq!(number(&whole), 20);
    for cut in 0..whole.len() {
        let torn = whole.slice(..cut);
        assert!(std::panic::catch_unwind(|| number(&torn)).is_err());
    }
}
