//! Commands, answers and errors of redis.

use std::error::Error;
use std::io;

use futures::{SinkExt, StreamExt};
use reconnecting_stream::{ConnectionLost, Permanent};
use redis_protocol::codec::Resp2;
use redis_protocol::error::{RedisProtocolError, RedisProtocolErrorKind};
use redis_protocol::resp2::types::BytesFrame;
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

/// A command is an array of strings.
pub(crate) fn command(words: &[&str]) -> BytesFrame {
    let word = |word: &&str| BytesFrame::BulkString(word.as_bytes().to_vec().into());
    BytesFrame::Array(words.iter().map(word).collect())
}

/// Sends a command and waits for its answer: for handshakes, which are plain conversations.
///
/// An error of the server fails the attempt. Redis answers with an error while it loads its data:
/// that attempt is repeated. A wrong password is permanent.
pub(crate) async fn ask(
    redis: &mut Framed<TcpStream, Resp2>,
    words: &[&str],
) -> io::Result<BytesFrame> {
    redis.send(command(words)).await.map_err(io::Error::other)?;
    let answer = redis
        .next()
        .await
        .ok_or(io::ErrorKind::UnexpectedEof)?
        .map_err(io::Error::other)?;
    match answer {
        BytesFrame::Error(no) if no.starts_with("NOAUTH") || no.starts_with("WRONGPASS") => {
            Err(Permanent::new(no.to_string()).into())
        }
        BytesFrame::Error(no) => Err(io::Error::other(no.to_string())),
        answer => Ok(answer),
    }
}

/// How a handshake begins. A server that is loading its data answers with an error: a connection
/// is of use once the server executes commands.
pub(crate) async fn greet(
    mut redis: Framed<TcpStream, Resp2>,
) -> io::Result<Framed<TcpStream, Resp2>> {
    ask(&mut redis, &["PING"]).await?;
    Ok(redis)
}

/// Returns whether an error reports a loss. The next item comes from the next connection.
pub(crate) fn is_loss(error: &RedisProtocolError) -> bool {
    let RedisProtocolErrorKind::IO(error) = error.kind() else {
        return false;
    };
    let inside = error.get_ref();
    inside.is_some_and(<dyn Error + Send + Sync>::is::<ConnectionLost>)
}

/// The text of a string.
pub(crate) fn text(frame: &BytesFrame) -> &str {
    match frame {
        BytesFrame::BulkString(bytes) | BytesFrame::SimpleString(bytes) => {
            std::str::from_utf8(bytes).unwrap_or_default()
        }
        _ => "",
    }
}
