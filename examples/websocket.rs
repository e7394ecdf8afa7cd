//! A subscription over a WebSocket that continues on the next connection.
//!
//! `cargo run --example websocket` starts the server itself.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{SinkExt, StreamExt};
use reconnecting_stream::{MessageTransport, ReconnectingStream, Verdict};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

type Socket = MessageTransport<WebSocketStream<TcpStream>, fn(&Error) -> Verdict>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(publish(listener));

    // The number of the last message, so that each connection continues after it.
    let last = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&last);
    let connector = move || open(address, seen.load(Ordering::Relaxed));
    let mut stream = ReconnectingStream::connect(connector).await?;
    while let Some(message) = stream.next().await {
        if let Message::Text(text) = message? {
            println!("connection {}: message {text}", stream.generation());
            last.store(text.parse()?, Ordering::Relaxed);
            if text == "9" {
                break;
            }
        }
    }
    Ok(())
}

/// Makes one attempt: TCP, the WebSocket handshake and the subscription.
async fn open(address: SocketAddr, after: u64) -> io::Result<Socket> {
    let io = TcpStream::connect(address).await?;
    let opened = client_async(format!("ws://{address}/"), io).await;
    let (mut socket, _) = opened.map_err(io::Error::other)?;
    let subscription = Message::text(after.to_string());
    socket.send(subscription).await.map_err(io::Error::other)?;
    Ok(MessageTransport::new(socket, classify))
}

/// Returns what an error means for the connection.
fn classify(error: &Error) -> Verdict {
    match error {
        // The caller sent or received a message that is too large: reconnecting cures nothing.
        Error::Capacity(_) | Error::WriteBufferFull(_) => Verdict::Surface,
        _ => Verdict::Lost,
    }
}

/// Sends three messages on each connection and drops it.
async fn publish(listener: TcpListener) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    loop {
        let mut socket = accept_async(listener.accept().await?.0).await?;
        let subscription = socket.next().await.ok_or("no subscription")??;
        let after: u64 = subscription.to_text()?.parse()?;
        for number in after + 1..=after + 3 {
            socket.send(Message::text(number.to_string())).await?;
        }
    }
}
