//! A real redis: subscribers and pipelined writers over `ReconnectingFramed`, with an existing
//! codec, while their connections are killed by the server's own command, and the server is
//! killed, restarted and stopped.
#![cfg(target_os = "linux")]

#[path = "redis/stopped.rs"]
mod stopped;
#[path = "redis/subscribing.rs"]
mod subscribing;
#[path = "redis/writing.rs"]
mod writing;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use reconnecting_stream::{
    Backoff, Builder, Connect, ConnectionLost, Event, FramedOptions, Policy, ReconnectingFramed,
    Resend, Seam,
};
use reconnecting_stream_tools::program::{Program, are_installed, free_port, tell};
use reconnecting_stream_tools::soon::soon;
use redis_protocol::codec::Resp2;
use redis_protocol::error::{RedisProtocolError, RedisProtocolErrorKind};
use redis_protocol::resp2::types::BytesFrame;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::codec::Framed;

const MS: Duration = Duration::from_millis(1);
const CHANNEL: &str = "messages";
const LIST: &str = "log";

/// A server that forgets everything, unless the arguments say otherwise.
fn start(more: &[&str]) -> Program {
    let port = free_port();
    let number = port.to_string();
    let args = ["--port", &number, "--bind", "127.0.0.1", "--save", ""];
    Program::start("redis-server", port, args.iter().chain(more))
}

fn command<W: AsRef<[u8]>>(words: &[W]) -> BytesFrame {
    let word = |word: &W| BytesFrame::BulkString(word.as_ref().to_vec().into());
    BytesFrame::Array(words.iter().map(word).collect())
}

fn bytes(frame: &BytesFrame) -> &[u8] {
    match frame {
        BytesFrame::BulkString(bytes) | BytesFrame::SimpleString(bytes) => bytes,
        other => panic!("expected a string, got {other:?}"),
    }
}

/// A plain connection beside those that are tested.
struct Control(Framed<TcpStream, Resp2>);

impl Control {
    async fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        let mut control = Self(Framed::new(socket, Resp2::default()));
        // While it loads its data it answers everything else with an error.
        while control.ask(&["PING"]).await != BytesFrame::SimpleString("PONG".into()) {
            sleep(MS).await;
        }
        control
    }

    async fn ask<W: AsRef<[u8]>>(&mut self, words: &[W]) -> BytesFrame {
        self.0.send(command(words)).await.unwrap();
        self.0.next().await.unwrap().unwrap()
    }

    async fn count<W: AsRef<[u8]>>(&mut self, words: &[W]) -> usize {
        match self.ask(words).await {
            BytesFrame::Integer(n) => usize::try_from(n).unwrap(),
            other => panic!("expected a number, got {other:?}"),
        }
    }

    /// Whether a subscriber got it.
    async fn publish(&mut self, message: &[u8]) -> bool {
        let publish = [b"PUBLISH", CHANNEL.as_bytes(), message];
        self.count(&publish).await > 0
    }

    async fn publish_to_a_subscriber(&mut self, message: &[u8]) {
        while !self.publish(message).await {
            sleep(MS).await;
        }
    }

    /// Whether the server itself holds output that the kernel has not taken.
    async fn holds_output(&mut self) -> bool {
        let clients = self.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]).await;
        let clients = String::from_utf8_lossy(bytes(&clients)).into_owned();
        clients
            .split_whitespace()
            .any(|field| match field.split_once('=') {
                Some(("obl" | "oll", length)) => length != "0",
                _ => false,
            })
    }

    async fn kill(&mut self, kind: &str) -> usize {
        self.count(&["CLIENT", "KILL", "TYPE", kind]).await
    }
}

/// What is published or pushed: it begins with its number, and all of it follows from that.
fn message(number: usize) -> Vec<u8> {
    let length = match number % 100 {
        // Five times what the read buffer begins with.
        42 => 40 * 1024,
        k => 20 + k * 13,
    };
    let mut message = format!("{number} ").into_bytes();
    message.extend((message.len()..length).map(|at| (number * 31 + at * 7).to_le_bytes()[0]));
    message
}

/// `None` if it is torn.
fn number(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|&byte| byte == b' ')?;
    let number = std::str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    (bytes == message(number)).then_some(number)
}

/// What a subscriber gets.
#[derive(Debug, PartialEq, Eq)]
enum Push {
    Message(usize),
    Torn,
    /// A word of the test's.
    Word(String),
    Pong,
}

fn push(frame: &BytesFrame) -> Push {
    let BytesFrame::Array(parts) = frame else {
        return Push::Torn;
    };
    match parts.iter().map(bytes).collect::<Vec<_>>()[..] {
        [b"message", _, word] if word.starts_with(b"word ") => {
            Push::Word(String::from_utf8_lossy(word).into_owned())
        }
        [b"message", _, message] => number(message).map_or(Push::Torn, Push::Message),
        [b"pong", _] => Push::Pong,
        _ => Push::Torn,
    }
}

type Settings<C> = Builder<C, FramedOptions<TcpStream, Resp2>>;

fn hurry() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(MS))
        .max_attempts(None)
}

/// Subscribes on every connection.
fn subscriber(
    address: SocketAddr,
) -> Settings<impl Connect<Io = TcpStream, Future: Send> + Send + Sync> {
    ReconnectingFramed::builder(move || TcpStream::connect(address), Resp2::default())
        .policy(hurry())
        .on_connect(|mut redis| async {
            let subscribed = ask_first(&mut redis, &["SUBSCRIBE", CHANNEL]).await?;
            assert!(matches!(subscribed, BytesFrame::Array(_)));
            Ok(redis)
        })
}

async fn ask_first(redis: &mut Framed<TcpStream, Resp2>, words: &[&str]) -> io::Result<BytesFrame> {
    redis.send(command(words)).await.map_err(io::Error::other)?;
    let answer = redis.next().await.ok_or(ErrorKind::UnexpectedEof)?;
    answer.map_err(io::Error::other)
}

/// The cause of the loss that an item tells of.
fn cause(item: Option<Result<BytesFrame, RedisProtocolError>>) -> ErrorKind {
    match item.unwrap().unwrap_err().kind() {
        RedisProtocolErrorKind::IO(error) => ConnectionLost::find(error).unwrap().cause.kind(),
        other => panic!("expected a loss, got {other:?}"),
    }
}
