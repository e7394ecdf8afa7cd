//! A client that is no byte stream: the library connects it, the caller says when it is lost.
//!
//! `cargo run --example supervised_client` starts the server itself.

use std::io;
use std::net::SocketAddr;

use reconnecting_stream::{Connect, Event, Reconnecting};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Stands for the client of a database, with methods and errors of its own.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self(BufReader::new(TcpStream::connect(address).await?)))
    }

    async fn query(&mut self, query: &str) -> io::Result<String> {
        let mut row = String::new();
        self.0.write_all(format!("{query}\n").as_bytes()).await?;
        if self.0.read_line(&mut row).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(row)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener));

    let mut database = Reconnecting::builder(move || Client::connect(address))
        .on_event(|event: &Event| println!("{event:?}"))
        .lazy();
    for number in 1..=5 {
        let row = query(&mut database, &format!("query {number}")).await?;
        println!("connection {}: {}", database.generation(), row.trim());
    }
    Ok(())
}

/// Runs a query that is safe to repeat, on as many connections as it takes.
async fn query<C>(database: &mut Reconnecting<C>, query: &str) -> io::Result<String>
where
    C: Connect<Io = Client>,
{
    loop {
        let client = database.get().await?; // connects, and fails when the policy gives up
        match client.query(query).await {
            Ok(row) => return Ok(row),
            // The client is dropped. The next one is made after the backoff.
            Err(error) => database.mark_lost(error),
        }
    }
}

/// Answers two queries on each connection and closes it at the third.
async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let mut client = BufReader::new(listener.accept().await?.0);
        for _ in 0..2 {
            let mut line = String::new();
            client.read_line(&mut line).await?;
            client
                .write_all(format!("row of {line}").as_bytes())
                .await?;
        }
        client.read_line(&mut String::new()).await?;
    }
}
