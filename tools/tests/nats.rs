//! A real nats-server: subscribers and publishers over `ReconnectingFramed`, while their
//! connections are reset.
#![cfg(target_os = "linux")]

#[path = "nats/client.rs"]
mod client;
#[path = "nats/codec.rs"]
mod codec;
#[path = "nats/server.rs"]
mod server;

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use client::{Nats, builder, dial, hurry, log_in, log_in_verbosely, publish, subscribe};
use codec::{FromServer, NatsCodec, ToServer};
use futures::{FutureExt, SinkExt, StreamExt};
use reconnecting_stream::testing::{Direction, Fault, FaultProxy, Plan};
use reconnecting_stream::{
    Connect, ConnectionLost, ReconnectingFramed, ReconnectingStream, Resend, Seam,
};
use reconnecting_stream_tools::numbered::number;
use reconnecting_stream_tools::program::{are_installed, tell};
use reconnecting_stream_tools::resets::resetting_proxy;
use reconnecting_stream_tools::turn::{Turn, turn};
use server::Server;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::codec::Framed;

/// Nothing here takes that long unless it hangs. It is for whole tests, since the server's pings
/// arrive whatever hangs.
const DEADLINE: Duration = Duration::from_secs(120);
const MESSAGES: u32 = 5_000;
/// How many messages are published ahead of the one that has come back.
const AHEAD: u32 = 4;
/// Each connection lives for up to 64 KiB, or for up to 8 KiB if little comes back.
const MAGNITUDE: u32 = 16;
const SMALL_MAGNITUDE: u32 = 13;

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("it hangs")
}

/// Takes a message of a subscription: each one is whole, and behind the one before.
fn receive(received: &mut Vec<u32>, payload: &[u8]) -> u32 {
    let number = number(payload).expect("a torn message");
    let last = received.last();
    assert!(
        last.is_none_or(|&last| last < number),
        "{last:?}, then {number}"
    );
    received.push(number);
    number
}

/// Publishes to its own subscription, on one connection after the other, and then a last message
/// until that one has come back. Returns the messages that came back, and how many were open when
/// a connection was lost.
async fn publish_and_receive<C>(mut nats: ReconnectingFramed<C, NatsCodec>) -> (Vec<u32>, u32)
where
    C: Connect<Io = TcpStream>,
{
    let (mut next, mut open, mut received, mut lost) = (0, 0, Vec::new(), 0);
    while received.last() != Some(&MESSAGES) {
        match turn(&mut nats, open < AHEAD && next <= MESSAGES).await {
            Turn::Room => {
                nats.feed(publish(next)).await.unwrap();
                (next, open) = (next + 1, open + 1);
            }
            Turn::Received(Ok(FromServer::Msg { payload })) => {
                let number = receive(&mut received, &payload);
                open = (next - 1).saturating_sub(number).min(open);
            }
            Turn::Received(Ok(FromServer::Ping)) => {
                nats.feed_transient(ToServer::Pong).await.unwrap();
            }
            Turn::Received(Ok(other)) => panic!("expected MSG or PING, got {other:?}"),
            Turn::Received(Err(error)) => {
                ConnectionLost::find(&error).expect("nothing but losses");
                // The last message may be among them.
                next = next.min(MESSAGES);
                lost += std::mem::take(&mut open);
            }
        }
        nats.flush().await.unwrap();
    }
    (received, lost)
}

#[tokio::test]
async fn messages_of_nats_between_resets_are_whole_and_in_order() {
    if are_installed(&["nats-server"]) {
        soon(receive_under_resets()).await;
    }
}

async fn receive_under_resets() {
    let server = Server::start();
    let proxy = resetting_proxy(server.address(), MAGNITUDE).await;
    let nats = builder(proxy.addr())
        .seam(Seam::Error)
        .on_connect(subscribe)
        .connect()
        .await
        .unwrap();
    let (received, lost) = publish_and_receive(nats).await;
    let missing = MESSAGES + 1 - u32::try_from(received.len()).unwrap();
    let resets = proxy.stats().resets;
    tell(format_args!(
        "{MESSAGES} published, 0 wrong, {missing} missing of {lost} that were open at a loss, \
         {resets} resets"
    ));
    assert!(resets > 20 && missing > 0 && missing <= lost);
}

#[tokio::test]
async fn a_nats_client_misses_nothing_without_resets() {
    if are_installed(&["nats-server"]) {
        soon(receive_without_resets()).await;
    }
}

async fn receive_without_resets() {
    let server = Server::start();
    let nats = builder(server.address()).on_connect(subscribe).connect();
    let (received, _) = publish_and_receive(nats.await.unwrap()).await;
    assert!(received.into_iter().eq(0..=MESSAGES));
}

/// Publishes until the server has answered every message.
async fn publish_verbosely<C>(mut nats: ReconnectingFramed<C, NatsCodec>)
where
    C: Connect<Io = TcpStream>,
{
    let mut next = 0;
    while next < MESSAGES || nats.unconfirmed() > 0 {
        match turn(&mut nats, next < MESSAGES).await {
            Turn::Room => {
                nats.feed(publish(next)).await.unwrap();
                next += 1;
            }
            Turn::Received(message) => match message.unwrap() {
                FromServer::Ok => nats.confirm_replies(1),
                FromServer::Ping => nats.feed_transient(ToServer::Pong).await.unwrap(),
                other => panic!("expected +OK or PING, got {other:?}"),
            },
        }
        nats.flush().await.unwrap();
    }
}

async fn plain(address: SocketAddr) -> Nats {
    Framed::new(dial(address).await.unwrap(), NatsCodec)
}

/// Receives every message at least once. Returns how many came again.
async fn receive_all(mut nats: Nats) -> u32 {
    let (mut expected, mut again) = (0, 0);
    while expected < MESSAGES {
        let FromServer::Msg { payload } = nats.next().await.unwrap().unwrap() else {
            continue;
        };
        let number = number(&payload).expect("a torn message");
        assert!(number <= expected, "{expected} to {number} missing");
        match number == expected {
            true => expected += 1,
            false => again += 1,
        }
    }
    again
}

#[tokio::test]
async fn nothing_that_is_published_is_missing_if_the_server_confirms_it() {
    if are_installed(&["nats-server"]) {
        soon(publish_under_resets()).await;
    }
}

async fn publish_under_resets() {
    let server = Server::start();
    let subscriber = plain(server.address()).await;
    let mut subscriber = subscribe(subscriber).await.unwrap();
    // Subscribed for certain before anything is published.
    subscriber.send(ToServer::Ping).await.unwrap();
    while subscriber.next().await.unwrap().unwrap() != FromServer::Pong {}
    let proxy = resetting_proxy(server.address(), SMALL_MAGNITUDE).await;
    let nats = builder(proxy.addr())
        .resend(Resend::Unconfirmed { max_bytes: 4096 })
        .on_connect(log_in_verbosely)
        .connect()
        .await
        .unwrap();
    let (again, ()) = tokio::join!(receive_all(subscriber), publish_verbosely(nats));
    let resets = proxy.stats().resets;
    tell(format_args!(
        "{MESSAGES} published, 0 missing, {again} again, {resets} resets"
    ));
    assert!(resets > 20 && again > 0);
}

/// Answers pings of the server, as many as there is room for in a window of 16 bytes. Returns how
/// many, up to 10.
async fn answer_pings(is_transient: bool) -> u32 {
    let server = Server::start();
    let mut nats = builder(server.address())
        .resend(Resend::Unconfirmed { max_bytes: 16 })
        .on_connect(subscribe)
        .connect()
        .await
        .unwrap();
    for answered in 0..10 {
        let ping = nats.next().await.unwrap().unwrap();
        assert_eq!(ping, FromServer::Ping);
        if is_transient {
            nats.send_transient(ToServer::Pong).await.unwrap();
        } else if nats.feed(ToServer::Pong).now_or_never().is_none() {
            return answered;
        }
    }
    10
}

#[tokio::test]
async fn the_pongs_to_an_idle_connection_fill_the_window_unless_they_are_transient() {
    if are_installed(&["nats-server"]) {
        assert_eq!(soon(answer_pings(true)).await, 10);
        assert_eq!(soon(answer_pings(false)).await, 3);
    }
}

/// Without the crate's codec layer: a codec that lives on across the seam.
#[tokio::test]
async fn a_plain_framed_joins_the_messages_of_two_connections() {
    if are_installed(&["nats-server"]) {
        soon(receive_plainly()).await;
    }
}

async fn receive_plainly() {
    let server = Server::start();
    let publisher = plain(server.address()).await;
    let mut publisher = log_in(publisher).await.unwrap();
    let proxy = FaultProxy::start(server.address()).await.unwrap();
    // In the middle of a message.
    proxy.default_plan(|n| Plan::new().after(1_000 + n * 97, Direction::ToClient, Fault::Reset));
    let address = proxy.addr();
    let connector = move || async move {
        let nats = Framed::new(dial(address).await?, NatsCodec);
        Ok(subscribe(nats).await?.into_inner())
    };
    let stream = ReconnectingStream::builder(connector)
        .policy(hurry())
        .lazy();
    let mut nats = Framed::new(stream, NatsCodec);
    let publishing = async {
        for number in 0.. {
            publisher.send(publish(number)).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let receiving = async {
        loop {
            match nats.next().await.unwrap() {
                Ok(FromServer::Msg { payload }) if number(&payload).is_none() => {
                    break "a torn message".to_owned();
                }
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidData);
                    break error.to_string();
                }
            }
        }
    };
    let got = async {
        tokio::select! {
            got = receiving => got,
            () = publishing => unreachable!(),
        }
    };
    tell(format_args!("a plain Framed got: {}", got.await));
}
