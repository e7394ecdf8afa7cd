//! The suite over reconnecting streams: whole, and in halves. The connection is not cut meanwhile,
//! because what a connection has accepted is lost with it.

use reconnecting_stream::{Connect, Eof, Policy, ReconnectingStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, join, split};
use tokio::sync::mpsc;

use crate::suite::{Pair, conforms};

const CONNECTIONS: [u64; 3] = [1, 2, 10];

/// Returns a stream on its connection with this number, and its peer. Each has moved some bytes.
async fn stream_on(
    connection: u64,
) -> (
    ReconnectingStream<impl Connect<Io = DuplexStream, Future: Send> + Send + 'static>,
    DuplexStream,
) {
    let (made, mut peers) = mpsc::unbounded_channel();
    let connector = move || {
        let (near, far) = duplex(4096);
        made.send(far).unwrap();
        async { Ok(near) }
    };
    let mut stream = ReconnectingStream::builder(connector)
        .policy(Policy::default().eof(Eof::Pass))
        .connect()
        .await
        .unwrap();
    let mut peer = peers.recv().await.unwrap();
    for next in 2..=connection {
        stream.write_all(b"up").await.unwrap();
        peer.write_all(b"down").await.unwrap();
        peer.read_exact(&mut [0; 2]).await.unwrap();
        stream.read_exact(&mut [0; 4]).await.unwrap();
        stream.reconnect();
        assert_eq!(stream.connected().await.unwrap(), next);
        peer = peers.recv().await.unwrap();
    }
    (stream, peer)
}

#[tokio::test(start_paused = true)]
async fn a_stream_conforms_on_its_first_second_and_tenth_connection() {
    for connection in CONNECTIONS {
        conforms(async || {
            let (stream, peer) = stream_on(connection).await;
            Pair::of(stream, peer)
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_in_owned_halves_conforms_on_its_first_second_and_tenth_connection() {
    for connection in CONNECTIONS {
        conforms(async || {
            let (stream, peer) = stream_on(connection).await;
            let (reader, writer) = stream.into_split();
            Pair::of(join(reader, writer), peer)
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_in_halves_of_tokio_conforms_on_its_first_second_and_tenth_connection() {
    for connection in CONNECTIONS {
        conforms(async || {
            let (stream, peer) = stream_on(connection).await;
            let (reader, writer) = split(stream);
            Pair::of(join(reader, writer), peer)
        })
        .await;
    }
}
