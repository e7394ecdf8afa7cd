//! What a session promises while its connections come and go.

use std::time::Duration;

use reconnecting_stream::{ResumableListener, ResumableStream, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn pair() -> (ResumableStream, ResumableStream, ResumableListener) {
    let listener = ResumableListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = ResumableStream::connect(move || TcpStream::connect(address));
    let (client, server) = tokio::join!(client, listener.accept());
    (client.unwrap(), server.unwrap(), listener)
}

#[tokio::test]
async fn what_one_end_writes_the_other_end_reads() {
    let (mut client, mut server, _listener) = pair().await;
    client.write_all(b"hello").await.unwrap();
    let mut bytes = [0; 5];
    server.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"hello");
    server.write_all(b"world").await.unwrap();
    client.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"world");
    assert_eq!(client.id(), server.id());
    let (a, b) = tokio::join!(client.shutdown(), server.shutdown());
    a.and(b).unwrap();
    assert_eq!(client.read(&mut bytes).await.unwrap(), 0);
    assert_eq!(server.read(&mut bytes).await.unwrap(), 0);
}

#[tokio::test]
async fn no_byte_is_lost_or_repeated_while_connections_are_replaced() {
    let (client, server, _listener) = pair().await;
    let handle = client.handle();
    let total = 8 << 20;
    let pattern = |offset: usize| u8::try_from(offset % 251).unwrap();
    let (mut reader, mut writer) = client.into_split();
    let (mut from_client, mut to_client) = server.into_split();
    let send = tokio::spawn(async move {
        let mut offset = 0;
        while offset < total {
            let bytes: Vec<u8> = (offset..offset + 10_000).map(pattern).collect();
            writer.write_all(&bytes).await.unwrap();
            offset += bytes.len();
        }
        writer.shutdown().await.unwrap();
        offset
    });
    let echo = tokio::spawn(async move {
        tokio::io::copy(&mut from_client, &mut to_client)
            .await
            .unwrap();
        to_client.shutdown().await.unwrap();
    });
    let cut = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            handle.reconnect();
        }
    });
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await.unwrap();
    cut.abort();
    echo.await.unwrap();
    assert_eq!(bytes.len(), send.await.unwrap());
    assert!(
        bytes
            .iter()
            .enumerate()
            .all(|(at, byte)| *byte == pattern(at))
    );
    assert!(matches!(reader.state(), State::Connected { generation } if generation > 1));
}
