//! A writer that does not wait for the answers.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;

use futures::{Sink, SinkExt, Stream, StreamExt};
use reconnecting_stream::{ConfirmHandle, ReconnectingFramed, Resend};
use redis_protocol::codec::Resp2;
use redis_protocol::error::RedisProtocolError;
use redis_protocol::resp2::types::BytesFrame;
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

use crate::faults::{Target, note};
use crate::resp::{ask, command, greet, text};
use crate::{Console, Failure, NUMBERS, policy};

/// Where a repetition can be seen.
const LIST: &str = "reconnecting-stream:log";
/// Where a repetition changes nothing.
const HASH: &str = "reconnecting-stream:seen";
/// How many bytes of commands may be unanswered. Then the writer waits.
const WINDOW: usize = 4 * 1024;

/// What has arrived of the commands.
pub(crate) struct Report {
    pub(crate) missing: usize,
    pub(crate) twice_in_list: usize,
    pub(crate) twice_in_hash: usize,
}

/// Writes all numbers, each by two commands, until all are answered.
pub(crate) async fn write(
    address: SocketAddr,
    target: Target,
    console: Console,
) -> Result<(), Failure> {
    let connector = move || note(TcpStream::connect(address), target.clone());
    let redis = ReconnectingFramed::builder(connector, Resp2::default())
        .policy(policy())
        // Commands go again until they are answered: at least once.
        .resend(Resend::Unconfirmed { max_bytes: WINDOW })
        .on_event(console.observer("writer"))
        .on_connect(greet)
        .connect()
        .await?;
    let confirmations = redis.confirm_handle();
    let (sink, stream) = redis.split();
    tokio::try_join!(feed(sink), count(stream, confirmations))?;
    Ok(())
}

async fn feed(
    mut sink: impl Sink<BytesFrame, Error = RedisProtocolError> + Unpin,
) -> Result<(), Failure> {
    for number in 0..NUMBERS {
        let text = number.to_string();
        sink.feed(command(&["RPUSH", LIST, &text])).await?;
        sink.feed(command(&["HSET", HASH, &text, "seen"])).await?;
    }
    // Its answer is the last one.
    sink.send(command(&["ECHO", "end"])).await?;
    Ok(())
}

/// Counts the answers. `confirm_replies` matches them to commands. The reader alone is enough from
/// here on: it also sends unanswered commands again.
async fn count(
    mut stream: impl Stream<Item = Result<BytesFrame, RedisProtocolError>> + Unpin,
    confirmations: ConfirmHandle,
) -> Result<(), Failure> {
    while let Some(answer) = stream.next().await {
        match answer? {
            BytesFrame::Integer(_) => confirmations.confirm_replies(1),
            BytesFrame::BulkString(_) => return Ok(()),
            other => return Err(format!("expected a number, got {other:?}").into()),
        }
    }
    Err("the stream has ended".into())
}

/// Deletes what an earlier run has left.
pub(crate) async fn clear(redis: &mut Framed<TcpStream, Resp2>) -> io::Result<()> {
    ask(redis, &["DEL", LIST, HASH]).await?;
    Ok(())
}

/// Looks at what has arrived, over a plain connection.
pub(crate) async fn check(redis: &mut Framed<TcpStream, Resp2>) -> Result<Report, Failure> {
    let list = ask(redis, &["LRANGE", LIST, "0", "-1"]).await?;
    let hash = ask(redis, &["HKEYS", HASH]).await?;
    let (BytesFrame::Array(list), BytesFrame::Array(hash)) = (list, hash) else {
        return Err("expected a list and a hash".into());
    };
    let numbers = |frames: &[BytesFrame]| -> HashSet<usize> {
        frames.iter().filter_map(|f| text(f).parse().ok()).collect()
    };
    let (in_list, in_hash) = (numbers(&list), numbers(&hash));
    Ok(Report {
        missing: 2 * NUMBERS - in_list.len() - in_hash.len(),
        twice_in_list: list.len() - in_list.len(),
        twice_in_hash: hash.len() - in_hash.len(),
    })
}
