//! A client that publishes to a topic to which it subscribes, both at quality of service 1.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reconnecting_stream::{Backoff, Connect, Policy, ReconnectingFramed, Resend};
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

use crate::codec::{FromBroker, MqttCodec, ToBroker};
use crate::soon;
use reconnecting_stream_tools::numbered::{message, number};
use reconnecting_stream_tools::turn::{Turn, turn};

pub(crate) const WINDOW: usize = 4096;
pub(crate) const TOPIC: &str = "t";
/// The broker keeps the session of a client by its name.
const CLIENT: &str = "client";
/// The packet of the subscription; those of messages are below it.
const SUBSCRIPTION: u16 = u16::MAX;
/// From one ping to the next.
const ROUNDS_PER_PING: u32 = 16;

pub(crate) type Mqtt<C> = ReconnectingFramed<C, MqttCodec>;

/// How the client acknowledges what it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acknowledgment {
    /// By messages that belong to the connection: what it has not taken is delivered again on the
    /// next one, and acknowledged there.
    Transient,
    /// By messages as any other, which the broker never confirms.
    Ordinary,
}

pub(crate) async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    // A round is several small writes in a row.
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Connects with a window of 4 KiB, and a login on every connection.
pub(crate) async fn connect(
    address: SocketAddr,
) -> Mqtt<impl Connect<Io = TcpStream, Future: Send> + Send + Sync> {
    let policy = Policy::default()
        .backoff(Backoff::constant(Duration::from_millis(1)))
        .max_attempts(None);
    let mqtt = ReconnectingFramed::builder(move || dial(address), MqttCodec::default())
        .policy(policy)
        .resend(Resend::Unconfirmed { max_bytes: WINDOW })
        .on_connect(login)
        .retry_initial_connect(true)
        .connect();
    soon(mqtt).await.unwrap()
}

/// CONNECT and SUBSCRIBE. What the broker has kept of the session may arrive in between.
pub(crate) async fn login(
    mut mqtt: Framed<TcpStream, MqttCodec>,
) -> io::Result<Framed<TcpStream, MqttCodec>> {
    mqtt.send(ToBroker::Connect { client: CLIENT }).await?;
    match next(&mut mqtt).await? {
        FromBroker::ConnAck { code: 0, .. } => {}
        other => return Err(io::Error::other(format!("expected CONNACK, got {other:?}"))),
    }
    let (id, topic) = (SUBSCRIPTION, TOPIC);
    mqtt.send(ToBroker::Subscribe { id, topic }).await?;
    let mut early = Vec::new();
    loop {
        match next(&mut mqtt).await? {
            FromBroker::SubAck { id, code: 1 } if id == SUBSCRIPTION => break,
            publish @ FromBroker::Publish { .. } => early.push(publish),
            other => return Err(io::Error::other(format!("expected SUBACK, got {other:?}"))),
        }
    }
    for packet in early {
        mqtt.codec_mut().hold(packet);
    }
    Ok(mqtt)
}

pub(crate) async fn next(mqtt: &mut Framed<TcpStream, MqttCodec>) -> io::Result<FromBroker> {
    mqtt.next().await.ok_or(ErrorKind::UnexpectedEof)?
}

/// The packet identifier of a message: not 0, and not that of the subscription.
pub(crate) fn id(number: u32) -> u16 {
    u16::try_from(number % 60_000 + 1).unwrap()
}

pub(crate) fn publish(number: u32) -> ToBroker {
    ToBroker::Publish {
        id: id(number),
        topic: TOPIC,
        payload: message(number),
    }
}

/// Acknowledges a message. The caller flushes.
pub(crate) async fn acknowledge<C>(
    mqtt: &mut Mqtt<C>,
    id: u16,
    how: Acknowledgment,
) -> io::Result<()>
where
    C: Connect<Io = TcpStream>,
{
    let packet = ToBroker::PubAck { id };
    match how {
        Acknowledgment::Transient => mqtt.feed_transient(packet).await,
        Acknowledgment::Ordinary => mqtt.feed(packet).await,
    }
}

/// What has happened in the rounds so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) published: u32,
    /// Messages that have been received, and deliveries of those that had been before.
    pub(crate) received: u32,
    pub(crate) again: u32,
    /// Messages that the broker has acknowledged, and acknowledgments of those that it had before.
    pub(crate) confirmed: u32,
    pub(crate) confirmed_again: u32,
    pub(crate) pings: u32,
    pub(crate) pongs: u32,
}

/// A message that the broker has not acknowledged, or only after an older one that it has not.
struct Waiting {
    id: u16,
    is_acknowledged: bool,
}

pub(crate) struct Client<C: Connect> {
    mqtt: Mqtt<C>,
    waiting: VecDeque<Waiting>,
    tally: Tally,
}

impl<C: Connect<Io = TcpStream>> Client<C> {
    pub(crate) fn new(mqtt: Mqtt<C>) -> Self {
        Self {
            mqtt,
            waiting: VecDeque::new(),
            tally: Tally::default(),
        }
    }

    /// Runs so many rounds: in each one a message is published, acknowledged by the broker,
    /// received and acknowledged. Not more than `ahead` rounds are open at a time.
    pub(crate) async fn run(mut self, rounds: u32, ahead: u32) -> (Tally, u64) {
        while self.done() < rounds {
            let next = self.tally.published;
            let wants_room = next < rounds && next - self.done() < ahead;
            match soon(turn(&mut self.mqtt, wants_room)).await {
                Turn::Received(packet) => self.take(packet.unwrap()).await,
                Turn::Room => self.publish(next).await,
            }
            soon(self.mqtt.flush()).await.unwrap();
            assert_eq!(self.mqtt.unconfirmed(), self.waiting.len());
        }
        (self.tally, self.mqtt.generation())
    }

    /// How many of the oldest rounds are complete: messages are received, and acknowledged, in
    /// order.
    fn done(&self) -> u32 {
        self.tally.received.min(self.tally.confirmed)
    }

    async fn publish(&mut self, number: u32) {
        soon(self.mqtt.feed(publish(number))).await.unwrap();
        self.waiting.push_back(Waiting {
            id: id(number),
            is_acknowledged: false,
        });
        self.tally.published += 1;
        if number % ROUNDS_PER_PING == 0 {
            let ping = self.mqtt.feed_transient(ToBroker::PingReq);
            soon(ping).await.unwrap();
            self.tally.pings += 1;
        }
    }

    async fn take(&mut self, packet: FromBroker) {
        match packet {
            FromBroker::PubAck { id } => self.confirm(id),
            FromBroker::Publish { id, payload, .. } => {
                self.receive(&payload);
                let acknowledge = acknowledge(&mut self.mqtt, id, Acknowledgment::Transient);
                soon(acknowledge).await.unwrap();
            }
            FromBroker::PingResp => self.tally.pongs += 1,
            other => panic!("expected nothing of the login, got {other:?}"),
        }
    }

    /// Confirms what no older message waits before. The broker may acknowledge a message twice:
    /// once on the connection that it came from, and once on the one that it came from again.
    fn confirm(&mut self, id: u16) {
        match self.waiting.iter_mut().find(|waiting| waiting.id == id) {
            Some(waiting) if !waiting.is_acknowledged => waiting.is_acknowledged = true,
            Some(_) | None => self.tally.confirmed_again += 1,
        }
        while self
            .waiting
            .front()
            .is_some_and(|oldest| oldest.is_acknowledged)
        {
            self.waiting.pop_front();
            self.mqtt.confirm(1);
            self.tally.confirmed += 1;
        }
    }

    fn receive(&mut self, payload: &[u8]) {
        let number = number(payload).expect("a torn message");
        let expected = self.tally.received;
        assert!(number <= expected, "{expected} to {number} missing");
        match number == expected {
            true => self.tally.received += 1,
            false => self.tally.again += 1,
        }
    }
}
