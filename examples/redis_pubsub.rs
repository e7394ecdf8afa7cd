//! A subscriber of Redis that subscribes again on every connection. Takes the address of a server:
//! `cargo run --example redis_pubsub -- 127.0.0.1:6379 channel`.

use std::error::Error;
use std::io;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reconnecting_stream::{Event, Policy, ReconnectingFramed};
use redis_protocol::codec::Resp2;
use redis_protocol::resp2::types::{BytesFrame, Resp2Frame};
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(channel)) = (arguments.next(), arguments.next()) else {
        return Err("expected an address and a channel, as in `127.0.0.1:6379 news`".into());
    };
    let connector = move || TcpStream::connect(address.clone());
    let mut redis = ReconnectingFramed::builder(connector, Resp2::default())
        .on_connect(move |framed| subscribe(framed, channel.clone()))
        // A server that is stopped answers no ping, and its connection is dropped.
        .policy(Policy::default().idle_timeout(Duration::from_secs(30)))
        .on_event(|event: &Event| eprintln!("{event:?}"))
        .retry_initial_connect(true)
        .connect()
        .await?;
    let mut ping = tokio::time::interval(Duration::from_secs(10));
    loop {
        let frame = tokio::select! {
            frame = redis.next() => frame.ok_or("the stream has ended")??,
            _ = ping.tick() => {
                redis.send(command(&["PING"])).await?;
                continue;
            }
        };
        // A message is an array of "message", the channel and the payload.
        if let BytesFrame::Array(parts) = &frame {
            if let [kind, _, BytesFrame::BulkString(payload)] = parts.as_slice() {
                if kind.as_str() == Some("message") {
                    println!("{}", String::from_utf8_lossy(payload));
                }
            }
        }
    }
}

/// Subscribes on a new connection, before the stream uses it.
async fn subscribe(
    mut framed: Framed<TcpStream, Resp2>,
    channel: String,
) -> io::Result<Framed<TcpStream, Resp2>> {
    let subscribe = command(&["SUBSCRIBE", &channel]);
    framed.send(subscribe).await.map_err(io::Error::other)?;
    match framed.next().await {
        Some(Ok(BytesFrame::Array(_))) => Ok(framed),
        Some(Ok(other)) => Err(io::Error::other(format!("expected a reply, got {other:?}"))),
        Some(Err(error)) => Err(io::Error::other(error)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn command(words: &[&str]) -> BytesFrame {
    let word = |word: &&str| BytesFrame::BulkString(word.to_string().into());
    BytesFrame::Array(words.iter().map(word).collect())
}
