//! Whole lines from a server that dies in the middle of one.

use std::io;
use std::net::SocketAddr;

use futures::StreamExt;
use reconnecting_stream::{Connect, Policy, ReconnectingFramed};
use tokio::net::TcpStream;
use tokio_util::codec::{LinesCodec, LinesCodecError};

/// A line that is longer than this is not a line of ours.
const MAX_LENGTH: usize = 4096;

/// The lines that a server sends, on one connection after another.
pub struct Lines<C: Connect<Io = TcpStream>>(ReconnectingFramed<C, LinesCodec>);

pub async fn connect(
    address: SocketAddr,
    policy: Policy,
) -> io::Result<Lines<impl Connect<Io = TcpStream>>> {
    let codec = LinesCodec::new_with_max_length(MAX_LENGTH);
    // Not `Framed` over a `ReconnectingStream`: it would join the half of a line to the next
    // connection's first line. Here each connection has a codec and a buffer of its own, and half
    // a line at the end of one is dropped.
    let framed = ReconnectingFramed::builder(move || TcpStream::connect(address), codec)
        .policy(policy)
        .retry_initial_connect(true)
        .connect()
        .await?;
    Ok(Lines(framed))
}

impl<C: Connect<Io = TcpStream>> Lines<C> {
    /// The next whole line. What a server sends again on its next connection comes again, and
    /// what it does not send again is missing: lines have no numbers, unless the server gives
    /// them some.
    pub async fn next(&mut self) -> Result<String, LinesCodecError> {
        let ended = || io::Error::from(io::ErrorKind::UnexpectedEof).into();
        self.0.next().await.unwrap_or_else(|| Err(ended()))
    }

    /// The number of the connection that the last line came from, or of the one after it.
    pub fn generation(&self) -> u64 {
        self.0.generation()
    }
}
