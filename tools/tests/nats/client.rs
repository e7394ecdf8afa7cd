//! How clients of NATS connect and log in.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reconnecting_stream::{Backoff, Builder, Connect, FramedOptions, Policy, ReconnectingFramed};
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

use crate::codec::{FromServer, NatsCodec, ToServer};
use reconnecting_stream_tools::numbered::message;

const SUBJECT: &str = "updates";

pub(crate) type Nats = Framed<TcpStream, NatsCodec>;

pub(crate) async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

async fn expect(nats: &mut Nats, expected: FromServer) -> io::Result<()> {
    let message = nats.next().await.ok_or(ErrorKind::UnexpectedEof)??;
    match message == expected {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "expected {expected:?}, got {message:?}"
        ))),
    }
}

pub(crate) async fn log_in(mut nats: Nats) -> io::Result<Nats> {
    expect(&mut nats, FromServer::Info).await?;
    nats.send(ToServer::Connect { is_verbose: false }).await?;
    Ok(nats)
}

/// Asks for an answer to every message.
pub(crate) async fn log_in_verbosely(mut nats: Nats) -> io::Result<Nats> {
    expect(&mut nats, FromServer::Info).await?;
    nats.send(ToServer::Connect { is_verbose: true }).await?;
    expect(&mut nats, FromServer::Ok).await?;
    Ok(nats)
}

/// Logs in and subscribes. It reads nothing after the greeting, since messages may follow.
pub(crate) async fn subscribe(nats: Nats) -> io::Result<Nats> {
    let mut nats = log_in(nats).await?;
    nats.send(ToServer::Sub { subject: SUBJECT }).await?;
    Ok(nats)
}

pub(crate) fn hurry() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(Duration::from_millis(1)))
        .max_attempts(None)
}

pub(crate) fn builder(
    address: SocketAddr,
) -> Builder<
    impl Connect<Io = TcpStream, Future: Send> + Send + Sync,
    FramedOptions<TcpStream, NatsCodec>,
> {
    ReconnectingFramed::builder(move || dial(address), NatsCodec)
        .policy(hurry())
        .retry_initial_connect(true)
}

pub(crate) fn publish(number: u32) -> ToServer {
    ToServer::Pub {
        subject: SUBJECT,
        payload: message(number),
    }
}
