//! HTTP requests with hyper, repeated when their connection is lost.
//!
//! `cargo run --example http` starts the server itself.

use std::error::Error;
use std::io;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use reconnecting_stream::{Connect, ConnectionLost, ReconnectingStream, Seam};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener));

    let mut stream = ReconnectingStream::builder(move || TcpStream::connect(address))
        .seam(Seam::Error) // hyper must not wait on the next connection for an old answer
        .lazy();
    for number in 1..=6 {
        let answer = get(&mut stream, &format!("/{number}")).await?;
        println!("connection {}: {answer:?}", stream.generation());
    }
    Ok(())
}

/// Sends a GET until it is answered. A POST must not be repeated like this: the server may have
/// executed it before the connection was lost.
async fn get<C>(stream: &mut ReconnectingStream<C>, path: &str) -> Result<Bytes, Box<dyn Error>>
where
    C: Connect<Io = TcpStream>,
{
    loop {
        stream.resync().await?; // gives up here if there is no server
        // hyper's state belongs to one connection, so each request has a new one.
        let (mut sender, connection) = http1::handshake(TokioIo::new(&mut *stream)).await?;
        let request = Request::get(path)
            .header("host", "localhost")
            .body(Empty::<Bytes>::new())?;
        let exchange = async move {
            let response = sender.send_request(request).await?;
            hyper::Result::Ok(response.collect().await?.to_bytes())
        };
        // `without_shutdown`: a stream that hyper has shut down would not reconnect.
        let connection = connection.without_shutdown();
        match tokio::join!(exchange, connection).0 {
            Ok(answer) => return Ok(answer),
            Err(error) if ConnectionLost::find(&error).is_some() => {}
            Err(error) => return Err(error.into()),
        }
        println!("GET {path} is sent again");
    }
}

/// Answers two requests on each connection, then resets it instead of answering the third.
async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let mut lines = BufReader::new(listener.accept().await?.0).lines();
        let mut answered = 0;
        while let Some(line) = lines.next_line().await? {
            // An empty line ends the head of a request.
            if line.is_empty() && answered == 2 {
                lines.get_ref().get_ref().set_zero_linger()?;
                break;
            }
            if line.is_empty() {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
                lines.get_mut().write_all(answer).await?;
                answered += 1;
            }
        }
    }
}
