//! A subscriber of a channel.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::{Sink, SinkExt, Stream, StreamExt};
use reconnecting_stream::{ReconnectingFramed, Seam};
use redis_protocol::codec::Resp2;
use redis_protocol::error::RedisProtocolError;
use redis_protocol::resp2::types::BytesFrame;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_util::codec::Framed;

use crate::faults::{Target, note};
use crate::resp::{ask, command, greet, is_loss, text};
use crate::{Console, END, Failure, policy};

const CHANNEL: &str = "reconnecting-stream:messages";
/// How often the server is asked whether it is alive.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Silence for so long is the death of the connection.
const IDLE: Duration = Duration::from_secs(2);

/// What a subscriber has seen.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) received: Vec<usize>,
    pub(crate) torn: usize,
    pub(crate) seams: usize,
}

/// Receives until the end is published. `ready` is sent to after the first subscription.
pub(crate) async fn listen(
    address: SocketAddr,
    target: Target,
    console: Console,
    ready: oneshot::Sender<()>,
) -> Result<Report, Failure> {
    let connector = move || note(TcpStream::connect(address), target.clone());
    let redis = ReconnectingFramed::builder(connector, Resp2::default())
        // A server that has stopped, or a network that has gone, says nothing at all.
        .policy(policy().idle_timeout(IDLE))
        // Redis keeps nothing for a subscriber that is away. At a seam it has missed what was
        // published meanwhile, and its user has to know: to load the current state again.
        .seam(Seam::Error)
        .on_event(console.observer("subscriber"))
        // On every connection, before anything else.
        .on_connect(subscribe)
        .connect()
        .await?;
    let _ = ready.send(());
    let (sink, stream) = redis.split::<BytesFrame>();
    tokio::select! {
        report = receive(stream) => report,
        failed = beat(sink) => failed,
    }
}

async fn subscribe(redis: Framed<TcpStream, Resp2>) -> io::Result<Framed<TcpStream, Resp2>> {
    let mut redis = greet(redis).await?;
    ask(&mut redis, &["SUBSCRIBE", CHANNEL]).await?;
    Ok(redis)
}

/// Sends pings. A server that does not answer them is lost.
async fn beat(
    mut sink: impl Sink<BytesFrame, Error = RedisProtocolError> + Unpin,
) -> Result<Report, Failure> {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        sink.send(command(&["PING"])).await?;
    }
}

async fn receive(
    mut stream: impl Stream<Item = Result<BytesFrame, RedisProtocolError>> + Unpin,
) -> Result<Report, Failure> {
    let mut report = Report::default();
    while let Some(item) = stream.next().await {
        let frame = match item {
            Ok(frame) => frame,
            Err(error) if is_loss(&error) => {
                report.seams += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let BytesFrame::Array(parts) = &frame else {
            return Err(format!("expected a message, got {frame:?}").into());
        };
        match parts.iter().map(text).collect::<Vec<_>>()[..] {
            ["message", _, END] => return Ok(report),
            ["message", _, words] => match number(words) {
                Some(number) => report.received.push(number),
                None => report.torn += 1,
            },
            ["pong", ..] => {}
            _ => return Err(format!("expected a message, got {frame:?}").into()),
        }
    }
    Err("the stream has ended".into())
}

/// Publishes over a plain connection; how many subscribers got it.
pub(crate) async fn publish(
    redis: &mut Framed<TcpStream, Resp2>,
    words: &str,
) -> io::Result<usize> {
    match ask(redis, &["PUBLISH", CHANNEL, words]).await? {
        BytesFrame::Integer(n) => Ok(usize::try_from(n).unwrap_or(0)),
        other => Err(io::Error::other(format!(
            "expected a number, got {other:?}"
        ))),
    }
}

/// What is published: it can be seen whether all of it is there.
pub(crate) fn message(number: usize) -> String {
    format!("{number} {}", "word ".repeat(1 + number % 400))
}

/// `None` if it is torn.
fn number(words: &str) -> Option<usize> {
    let number = words.split_once(' ')?.0.parse().ok()?;
    (words == message(number)).then_some(number)
}
