//! A subscription over one `WebSocket` after another that misses nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reconnecting_stream::{
    Connect, ConnectionLost, Event, MessageTransport, Permanent, Policy, ReconnectingStream, Seam,
    Verdict,
};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// A connection: a WebSocket, with the classification of its errors.
pub type Socket = MessageTransport<WebSocketStream<TcpStream>, fn(&Error) -> Verdict>;

/// Numbered messages: 1, 2, 3...
pub struct Subscription<C: Connect<Io = Socket>> {
    stream: ReconnectingStream<C>,
    /// The last one that arrived: each connection continues after it.
    last: Arc<AtomicU64>,
    heartbeat: Duration,
    pub seams: u32,
}

/// Subscribes to what a server publishes. `heartbeat` is how often the server is asked whether it
/// is still there. A server that does not answer three times is taken for lost.
pub async fn subscribe(
    address: SocketAddr,
    token: &'static str,
    heartbeat: Duration,
    policy: Policy,
    observer: impl FnMut(&Event) + Send + Sync + 'static,
) -> io::Result<Subscription<impl Connect<Io = Socket>>> {
    let last = Arc::new(AtomicU64::new(0));
    let has = Arc::clone(&last);
    let connector = move || open(address, token, has.load(Ordering::Relaxed));
    let stream = ReconnectingStream::builder(connector)
        // A pong is a message, too. It is what tells a server that has nothing to say from one
        // that is gone: the kernel of a stopped server still acknowledges.
        .policy(policy.idle_timeout(3 * heartbeat))
        .seam(Seam::Error)
        .on_event(observer)
        .retry_initial_connect(true)
        .connect()
        .await?;
    Ok(Subscription {
        stream,
        last,
        heartbeat,
        seams: 0,
    })
}

impl<C: Connect<Io = Socket>> Subscription<C> {
    /// Returns the next message, from the current connection or a later one.
    ///
    /// # Cancel safety
    ///
    /// No message is lost, a heartbeat may be.
    pub async fn next(&mut self) -> Result<String, Error> {
        let mut heartbeat = interval(self.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        loop {
            let message = tokio::select! {
                message = self.stream.next() => message,
                _ = heartbeat.tick() => {
                    // If it fails, the reader gets the error.
                    let _ = self.stream.send(Message::Ping("still there?".into())).await;
                    continue;
                }
            };
            match message {
                Some(Ok(Message::Text(text))) => {
                    self.last.fetch_add(1, Ordering::Relaxed);
                    return Ok(text.to_string());
                }
                // Pings are answered by tungstenite, and after a `Close` the end comes.
                Some(Ok(_)) => {}
                // Here a user whose server can't continue after a message asks for a fresh state.
                Some(Err(error)) if is_seam(&error) => self.seams += 1,
                Some(Err(error)) => return Err(error),
                None => return Err(Error::AlreadyClosed),
            }
        }
    }

    /// Closes the subscription and waits until the server has closed it.
    pub async fn close(mut self) -> Result<u64, Error> {
        while let Err(error) = self.stream.close().await {
            if !is_seam(&error) {
                return Err(error);
            }
        }
        while let Some(message) = self.stream.next().await {
            message?;
        }
        Ok(self.stream.generation())
    }
}

/// One attempt: TCP, the handshake, and the subscription, all under the attempt timeout. What
/// belongs to each connection is done here, before anyone else can use it.
async fn open(address: SocketAddr, token: &str, after: u64) -> io::Result<Socket> {
    let io = TcpStream::connect(address).await?;
    io.set_nodelay(true)?;
    let request = format!("ws://{address}/feed").into_client_request();
    let mut request = request.map_err(refused)?;
    let token = HeaderValue::from_str(token).map_err(Permanent::new)?;
    request.headers_mut().insert("authorization", token);
    let (mut socket, _) = client_async(request, io).await.map_err(refused)?;
    let subscription = Message::text(format!("subscribe after {after}"));
    socket.send(subscription).await.map_err(refused)?;
    Ok(MessageTransport::new(socket, classify))
}

/// Whether an attempt should be repeated: 503 passes, 401 does not.
fn refused(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::Url(_) => Permanent::new(error).into(),
        Error::Http(ref response) if is_final(response.status()) => Permanent::new(error).into(),
        error => io::Error::other(error),
    }
}

fn is_final(status: StatusCode) -> bool {
    let passes = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    status.is_client_error() && !passes.contains(&status)
}

/// What an error means for a connection that is up.
pub fn classify(error: &Error) -> Verdict {
    match error {
        // A message that was too large: report it to the caller, who sends or reads it. tungstenite reads nothing after it, which is the end of the connection.
        Error::Capacity(_) | Error::WriteBufferFull(_) => Verdict::Surface,
        // All others: the connection is gone, or its state is unknown.
        _ => Verdict::Lost,
    }
}

fn is_seam(error: &Error) -> bool {
    ConnectionLost::find(error).is_some()
}
