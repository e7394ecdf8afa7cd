//! A real mosquitto: a client that publishes, and acknowledges what it receives, over
//! `ReconnectingFramed`, while its connections are reset.
#![cfg(target_os = "linux")]

#[path = "mqtt/client.rs"]
mod client;
#[path = "mqtt/codec.rs"]
mod codec;

use std::collections::BTreeSet;
use std::fs;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use client::{
    Acknowledgment, Client, Mqtt, TOPIC, WINDOW, acknowledge, connect, dial, id, login, next,
    publish,
};
use codec::{FromBroker, MqttCodec, ToBroker};
use futures::{SinkExt, StreamExt};
use reconnecting_stream::Connect;
use reconnecting_stream::testing::{Direction, Fault, FaultProxy, Plan};
use reconnecting_stream_tools::numbered;
use reconnecting_stream_tools::program::{Program, are_installed, free_port, tell};
use reconnecting_stream_tools::resets::resetting_proxy;
use reconnecting_stream_tools::soon::soon;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

/// Sets how many rounds there are, if not a few seconds of them.
const ROUNDS: &str = "MQTT_ROUNDS";

/// A broker that keeps its sessions in memory.
struct Broker {
    program: Program,
    _folder: TempDir,
}

impl Broker {
    fn start() -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mosquitto.conf");
        // If root starts it, it runs as a user who can't read the folder unless it is told not to.
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nset_tcp_nodelay true\n"
        );
        fs::write(&path, config).unwrap();
        let args = ["-c".as_ref(), path.as_os_str()];
        Self {
            program: Program::start("mosquitto", port, args),
            _folder: folder,
        }
    }

    fn address(&self) -> SocketAddr {
        self.program.address()
    }
}

fn rounds(default: u32) -> u32 {
    std::env::var(ROUNDS).map_or(default, |rounds| rounds.parse().unwrap())
}

/// Without a limit but the window.
const AS_THE_WINDOW_ALLOWS: u32 = u32::MAX;

/// Runs rounds, and prints what has happened.
async fn without_resets(ahead: u32) {
    if !are_installed(&["mosquitto"]) {
        return;
    }
    let rounds = rounds(2_000);
    let broker = Broker::start();
    let client = Client::new(connect(broker.address()).await);
    let (tally, connections) = client.run(rounds, ahead).await;
    tell(format_args!("{rounds} rounds, 0 missing: {tally:?}"));
    assert_eq!((connections, tally.again, tally.confirmed_again), (1, 0, 0));
}

#[tokio::test]
async fn a_client_that_publishes_and_acknowledges_never_stalls() {
    without_resets(1).await;
}

#[tokio::test]
async fn a_client_that_publishes_ahead_never_stalls() {
    without_resets(AS_THE_WINDOW_ALLOWS).await;
}

/// Runs rounds while every connection is reset after up to 64 KiB.
async fn with_resets(ahead: u32) {
    if !are_installed(&["mosquitto"]) {
        return;
    }
    let rounds = rounds(2_000);
    let broker = Broker::start();
    let proxy = resetting_proxy(broker.address(), 16).await;
    let client = Client::new(connect(proxy.addr()).await);
    let (tally, connections) = client.run(rounds, ahead).await;
    let resets = proxy.stats().resets;
    tell(format_args!(
        "{rounds} rounds, 0 missing: {tally:?}, {connections} connections, {resets} resets"
    ));
    assert!(connections > 20 && tally.again > 0);
}

#[tokio::test]
async fn an_mqtt_client_misses_nothing_and_never_stalls_under_resets() {
    with_resets(1).await;
}

#[tokio::test]
async fn an_mqtt_client_that_publishes_ahead_misses_nothing_and_never_stalls_under_resets() {
    with_resets(AS_THE_WINDOW_ALLOWS).await;
}

mod controls {
    use super::*;

    /// 11 bytes, and 4 of its acknowledgment.
    fn short(number: u32) -> ToBroker {
        ToBroker::Publish {
            id: id(number),
            topic: TOPIC,
            payload: number.to_be_bytes().to_vec(),
        }
    }

    /// Whether there is no room although the broker has sent all that it is going to: it has
    /// answered a ping, and nothing came before that answer.
    async fn is_stalled<C>(mqtt: &mut Mqtt<C>) -> bool
    where
        C: Connect<Io = TcpStream>,
    {
        if has_room(mqtt).await {
            return false;
        }
        soon(mqtt.send_transient(ToBroker::PingReq)).await.unwrap();
        let answer = soon(mqtt.next()).await.unwrap().unwrap();
        assert_eq!(answer, FromBroker::PingResp);
        !has_room(mqtt).await
    }

    async fn has_room<C>(mqtt: &mut Mqtt<C>) -> bool
    where
        C: Connect<Io = TcpStream>,
    {
        poll_fn(|cx| {
            let room = SinkExt::<ToBroker>::poll_ready_unpin(mqtt, cx);
            Poll::Ready(room.is_ready())
        })
        .await
    }

    /// Publishes a message, and returns what came back. Confirms the oldest message when the
    /// broker acknowledges one.
    async fn exchange<C>(mqtt: &mut Mqtt<C>, number: u32) -> u16
    where
        C: Connect<Io = TcpStream>,
    {
        soon(mqtt.send(short(number))).await.unwrap();
        let mut received = None;
        for _ in 0..2 {
            match soon(mqtt.next()).await.unwrap().unwrap() {
                FromBroker::PubAck { .. } => mqtt.confirm(1),
                FromBroker::Publish { id, .. } => received = Some(id),
                other => panic!("expected PUBACK or PUBLISH, got {other:?}"),
            }
        }
        received.expect("the message")
    }

    /// Runs rounds on a connection that is never lost. Returns the round in which it stalled.
    async fn stall(rounds: u32, how: Acknowledgment) -> Option<u32> {
        let broker = Broker::start();
        let mut mqtt = connect(broker.address()).await;
        for round in 0..rounds {
            if is_stalled(&mut mqtt).await {
                return Some(round);
            }
            let received = exchange(&mut mqtt, round).await;
            if how == Acknowledgment::Ordinary && is_stalled(&mut mqtt).await {
                return Some(round);
            }
            soon(acknowledge(&mut mqtt, received, how)).await.unwrap();
            soon(mqtt.flush()).await.unwrap();
        }
        None
    }

    #[tokio::test]
    async fn a_client_stalls_if_its_acknowledgments_are_ordinary_messages() {
        if !are_installed(&["mosquitto"]) {
            return;
        }
        let ordinary = stall(2_000, Acknowledgment::Ordinary).await;
        let transient = stall(2_000, Acknowledgment::Transient).await;
        tell(format_args!(
            "stalled in round: {ordinary:?} with ordinary acknowledgments, \
             {transient:?} with transient ones"
        ));
        // Each round leaves half of 15 bytes in the window, since it confirms one message of two.
        let expected = u32::try_from(WINDOW).unwrap() * 2 / 15;
        assert!(ordinary.is_some_and(|round| round.abs_diff(expected) < 5));
        assert_eq!(transient, None);
    }

    /// A client without the crate: it dials again, and continues after what it has written.
    #[derive(Default)]
    struct Plain {
        next: u32,
        received: BTreeSet<u32>,
    }

    impl Plain {
        /// Publishes on one connection, one message after the other, until that fails, or the last
        /// one has come back.
        async fn run(&mut self, address: SocketAddr, last: u32) -> io::Result<()> {
            let framed = Framed::new(dial(address).await?, MqttCodec::default());
            let mut mqtt = login(framed).await?;
            while !self.received.contains(&last) {
                let number = self.next;
                mqtt.send(publish(number)).await?;
                self.next += 1;
                while !self.received.contains(&number) {
                    if let FromBroker::Publish { id, payload, .. } = next(&mut mqtt).await? {
                        self.received.extend(numbered::number(&payload));
                        mqtt.send(ToBroker::PubAck { id }).await?;
                    }
                }
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_plain_framed_that_continues_after_what_it_has_written_loses_messages() {
        if !are_installed(&["mosquitto"]) {
            return;
        }
        const RESETS: u64 = 20;
        let broker = Broker::start();
        let proxy = FaultProxy::start(broker.address()).await.unwrap();
        // In the middle of a message, of which the broker gets a part.
        let plan = |n| Plan::new().after(1_000 + n * 97, Direction::ToServer, Fault::Reset);
        proxy.script((0..RESETS).map(plan));
        let mut client = Plain::default();
        for _ in 0..RESETS {
            soon(client.run(proxy.addr(), u32::MAX)).await.unwrap_err();
        }
        // What the broker has kept comes before anything new.
        let last = client.next;
        soon(client.run(proxy.addr(), last)).await.unwrap();
        let missing = (0..=last).filter(|n| !client.received.contains(n)).count();
        tell(format_args!(
            "plain: {} written, {missing} missing, {RESETS} resets",
            last + 1
        ));
        assert!(missing > 0);
    }
}
