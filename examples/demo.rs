//! A client whose server crashes and restarts, and that gets every answer. Starts both.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use reconnecting_stream::{Backoff, ConnectionLost, Event, Policy, Seam, TcpConnector};
use reconnecting_stream::{ReconnectingStream, ReconnectingTcpStream};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener, address));

    let backoff = Backoff::exponential(Duration::from_millis(50)).max(Duration::from_millis(400));
    let stream = ReconnectingStream::builder(TcpConnector::new(address))
        .policy(Policy::default().backoff(backoff))
        .seam(Seam::Error) // a lost connection is an error, so that the request can be repeated
        .on_event(print)
        .connect()
        .await?;
    let mut stream = BufReader::new(stream);
    for number in 1..=9 {
        let answer = ask(&mut stream, &format!("request {number}\n")).await?;
        println!("client: {}", answer.trim());
    }
    Ok(())
}

/// Sends a request until it is answered.
async fn ask(stream: &mut BufReader<ReconnectingTcpStream>, request: &str) -> io::Result<String> {
    loop {
        let mut answer = String::new();
        stream.get_mut().resync().await?; // waits for a connection
        println!("client: {}", request.trim());
        let exchange = async {
            stream.write_all(request.as_bytes()).await?;
            stream.read_line(&mut answer).await
        };
        match exchange.await {
            Err(error) if ConnectionLost::find(&error).is_some() => {}
            done => return done.map(|_| answer),
        }
    }
}

fn print(event: &Event) {
    match event {
        Event::Connected { generation, .. } => println!("client: connection {generation} is up"),
        Event::Lost { cause, .. } => println!("client: connection lost: {cause}"),
        Event::AttemptFailed { error, .. } => println!("client: attempt failed: {error}"),
        _ => {}
    }
}

/// Answers three requests on each connection. Then the server crashes: the connection is reset,
/// and the port refuses connections for half a second.
async fn serve(mut listener: TcpListener, address: SocketAddr) -> io::Result<()> {
    loop {
        let mut lines = BufReader::new(listener.accept().await?.0).lines();
        for _ in 0..3 {
            let line = lines.next_line().await?.unwrap_or_default();
            let answer = format!("answer to {line}\n");
            lines.get_mut().write_all(answer.as_bytes()).await?;
        }
        lines.next_line().await?;
        println!("server: crashes");
        lines.get_ref().get_ref().set_zero_linger()?;
        drop((lines, listener));
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        println!("server: is back");
        listener = socket.listen(16)?;
    }
}
