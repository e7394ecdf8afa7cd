//! The halves of a stream are two ends of one session.

use std::io::IoSlice;
use std::time::Duration;

use futures::FutureExt;
use reconnecting_stream::ResumableStream;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;

use crate::support::{Server, options, quick};

#[tokio::test(start_paused = true)]
async fn both_halves_know_their_session() {
    let (server, mut streams) = Server::new(options());
    let client = ResumableStream::builder(move || server.connect())
        .policy(quick())
        .metadata(b"who")
        .connect()
        .await
        .unwrap();
    let (reader, writer) = client.into_split();
    let (accepted, _writer) = streams.recv().await.unwrap().into_split();
    assert_eq!(
        (reader.metadata(), writer.metadata()),
        (&b"who"[..], &b"who"[..])
    );
    assert_eq!(accepted.metadata(), b"who");
    assert_eq!((reader.id(), writer.id()), (accepted.id(), accepted.id()));
}

#[tokio::test(start_paused = true)]
async fn a_writing_half_knows_what_was_sent_and_what_is_acknowledged() {
    let (server, mut streams) = Server::new(options());
    let (client, mut accepted) = server.begin(&mut streams).await;
    let (_reader, mut writer) = client.into_split();
    assert!(writer.is_write_vectored());
    let four = [IoSlice::new(b"fo"), IoSlice::new(b"ur")];
    assert_eq!(writer.write_vectored(&four).await.unwrap(), 4);
    // The driver has not run yet.
    assert!(writer.flush().now_or_never().is_none());
    assert!(writer.acknowledged().now_or_never().is_none());
    assert_eq!(writer.unacknowledged(), 4);
    writer.flush().await.unwrap();
    writer.acknowledged().await.unwrap();
    assert_eq!(writer.unacknowledged(), 0);
    accepted.read_exact(&mut [0; 4]).await.unwrap();

    server.refuse(true);
    server.cut();
    sleep(Duration::from_secs(1)).await;
    writer.write_all(b"more").await.unwrap();
    let flushed = writer.flush().now_or_never();
    flushed.expect("a flush waits for no connection").unwrap();
    assert_eq!(writer.unacknowledged(), 4);
    server.refuse(false);
    writer.acknowledged().await.unwrap();
    accepted.read_exact(&mut [0; 4]).await.unwrap();
    writer.shutdown().await.unwrap();
    assert_eq!(accepted.read(&mut [0]).await.unwrap(), 0);
}
