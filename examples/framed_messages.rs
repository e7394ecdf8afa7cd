//! Requests and answers as lines. A request whose connection is reset is answered on the next
//! one.
//!
//! `cargo run --example framed_messages` starts the server itself.

use std::error::Error;

use futures::{SinkExt, StreamExt};
use reconnecting_stream::{Event, ReconnectingFramed, Resend};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Framed, LinesCodec};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener));

    let connector = move || TcpStream::connect(address);
    let mut lines = ReconnectingFramed::builder(connector, LinesCodec::new())
        // A request is kept, and sent again on each new connection, until it is confirmed.
        .resend(Resend::Unconfirmed {
            max_bytes: 64 * 1024,
        })
        .on_event(|event: &Event| {
            if let Event::Lost { cause, .. } = event {
                println!("connection lost: {cause}");
            }
        })
        .connect()
        .await?;
    for number in 1..=6 {
        lines.send(format!("request {number}")).await?;
        let answer = lines.next().await.ok_or("the server has ended")??;
        lines.confirm_replies(1); // the answer confirms the oldest request
        println!("connection {}: {answer}", lines.generation());
    }
    Ok(())
}

/// Answers two requests on each connection, then resets it instead of answering the third.
async fn serve(listener: TcpListener) -> Result<(), Box<dyn Error + Send + Sync>> {
    loop {
        let (socket, _) = listener.accept().await?;
        let mut lines = Framed::new(socket, LinesCodec::new());
        for _ in 0..2 {
            if let Some(line) = lines.next().await {
                lines.send(format!("answer to {}", line?)).await?;
            }
        }
        lines.next().await;
        lines.get_ref().set_zero_linger()?;
    }
}
