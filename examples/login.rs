//! A login on every new connection, as a step of the connector.
//!
//! `cargo run --example login` starts the server itself.

use std::io;
use std::time::Duration;

use reconnecting_stream::{Connect, Permanent, ReconnectingStream, Seam, TcpConnector};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PASSWORD: &[u8; 11] = b"open sesame";

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener));

    let connector = TcpConnector::new(address)
        .timeout(Duration::from_secs(2)) // to connect
        .and_then(log_in)
        .timeout(Duration::from_secs(5)); // to connect and log in
    let mut stream = ReconnectingStream::builder(connector)
        .seam(Seam::Error)
        .connect()
        .await?;
    for _ in 0..3 {
        let byte = stream.read_u8().await?;
        println!("connection {}: {}", stream.generation(), char::from(byte));
        let lost = stream.read_u8().await.unwrap_err();
        println!("{lost}");
    }
    Ok(())
}

/// Logs in. The stream uses a connection only after this has succeeded.
async fn log_in(mut socket: TcpStream) -> io::Result<TcpStream> {
    socket.write_all(PASSWORD).await?;
    match socket.read_u8().await? {
        b'+' => Ok(socket),
        // Another attempt would fail in the same way, so the stream gives up.
        b'-' => Err(Permanent::new("the server refused the password").into()),
        // Any other error is retried after the backoff.
        other => Err(io::Error::other(format!("expected + or -, got {other}"))),
    }
}

/// Checks the password on each connection, sends one letter and closes the connection.
async fn serve(listener: TcpListener) -> io::Result<()> {
    for letter in b'a'..=b'z' {
        let (mut client, _) = listener.accept().await?;
        let mut password = [0; PASSWORD.len()];
        client.read_exact(&mut password).await?;
        if &password == PASSWORD {
            client.write_all(&[b'+', letter]).await?;
        } else {
            client.write_all(b"-").await?;
        }
    }
    Ok(())
}
