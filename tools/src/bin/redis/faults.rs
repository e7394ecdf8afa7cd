//! Publishes the messages, and kills connections and the server meanwhile.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use redis_protocol::codec::Resp2;
use redis_protocol::resp2::types::BytesFrame;
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

use crate::resp::ask;
use crate::server::Server;
use crate::subscriber::{message, publish};
use crate::{Console, END, Failure, MESSAGES};

/// So many messages after the subscriber's connection, the writer's is killed; and so on.
const BETWEEN_KILLS: usize = 25;
/// The server is killed after so many messages, and again.
const BETWEEN_RESTARTS: usize = 400;

/// The local address of the current connection of a client, by which the server knows it.
#[derive(Clone, Default)]
pub(crate) struct Target(Arc<Mutex<Option<SocketAddr>>>);

/// Makes a connection, and notes its address.
pub(crate) async fn note(
    connecting: impl Future<Output = io::Result<TcpStream>>,
    target: Target,
) -> io::Result<TcpStream> {
    let socket = connecting.await?;
    let mut address = target.0.lock().unwrap_or_else(PoisonError::into_inner);
    *address = Some(socket.local_addr()?);
    Ok(socket)
}

/// What was done.
#[derive(Default)]
pub(crate) struct Report {
    /// Of each message, whether a subscriber was there.
    pub(crate) received: Vec<bool>,
    pub(crate) kills: usize,
    pub(crate) restarts: usize,
}

/// Publishes all messages.
pub(crate) async fn publish_and_kill(
    server: &mut Server,
    subscriber: &Target,
    writer: &Target,
    console: Console,
) -> Result<Report, Failure> {
    let mut report = Report::default();
    let mut redis = server.connect().await?;
    for number in 0..MESSAGES {
        let received = publish(&mut redis, &message(number)).await? > 0;
        report.received.push(received);
        match number % (2 * BETWEEN_KILLS) {
            0 => report.kills += kill(&mut redis, subscriber).await?,
            BETWEEN_KILLS => report.kills += kill(&mut redis, writer).await?,
            _ => {}
        }
        if number % BETWEEN_RESTARTS == BETWEEN_RESTARTS - 1 {
            // Redis that is killed right after it has answered the publisher may not have written to
            // the subscriber yet (without this, the last message was missing in most runs): it has when
            // it answers something else.
            ask(&mut redis, &["PING"]).await?;
            if server.kill_and_restart().await? {
                console.say("faults", "has killed the server, and started it again");
                report.restarts += 1;
                redis = server.connect().await?;
            }
        }
        tokio::time::sleep(crate::PACE).await;
    }
    while publish(&mut redis, END).await? == 0 {
        tokio::time::sleep(crate::PACE).await;
    }
    Ok(report)
}

/// By the server's own command: `CLIENT KILL TYPE pubsub` would do the same to all subscribers,
/// and the server may have other ones.
async fn kill(redis: &mut Framed<TcpStream, Resp2>, target: &Target) -> io::Result<usize> {
    let address = *target.0.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(address) = address else {
        return Ok(0);
    };
    let kill = ["CLIENT", "KILL", "ADDR", &address.to_string()];
    let killed = ask(redis, &kill).await?;
    Ok(usize::from(killed == BytesFrame::Integer(1)))
}
