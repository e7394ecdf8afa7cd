//! The events of a server's end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use reconnecting_stream::{Accepted, Event, Events, ResumableStream, Sessions};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::support::{Server, options, quick};

/// Returns the next event in words.
async fn next(events: &mut Events) -> String {
    match events.recv().await {
        Some(Ok(Event::Lost {
            generation,
            cause,
            uptime,
            ..
        })) => {
            format!("{generation} lost after {uptime:?}: {cause}")
        }
        Some(Ok(Event::Connected {
            generation,
            attempts,
            downtime,
            ..
        })) => {
            format!("{generation} there after {attempts} attempts and {downtime:?}")
        }
        Some(Ok(Event::Closed { .. })) => "closed".to_owned(),
        other => panic!("{other:?}"),
    }
}

/// Sends a byte to the other end, so that the session is confirmed and both ends have the same
/// connection.
async fn exchange(from: &mut ResumableStream, to: &mut ResumableStream) -> io::Result<()> {
    from.write_all(b"x").await?;
    from.flush().await?;
    to.read_u8().await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_server_is_told_of_each_connection_that_is_lost_or_resumes_the_session() {
    let (server, mut streams) = Server::new(options());
    let (mut client, mut accepted) = server.begin(&mut streams).await;
    let mut events = accepted.handle().subscribe_events();
    exchange(&mut client, &mut accepted).await.unwrap();

    server.refuse(true);
    sleep(Duration::from_secs(3)).await;
    server.cut();
    let lost = next(&mut events).await;
    assert!(lost.starts_with("1 lost after 3"), "{lost}");
    sleep(Duration::from_secs(2)).await;
    server.refuse(false);
    exchange(&mut client, &mut accepted).await.unwrap();
    let connected = next(&mut events).await;
    let start = "2 there after 0 attempts and 2";
    assert!(connected.starts_with(start), "{connected}");

    accepted
        .handle()
        .mark_lost(io::Error::other("a bad answer"));
    let lost = next(&mut events).await;
    assert!(lost.ends_with(": a bad answer"), "{lost}");
    let connected = next(&mut events).await;
    assert!(connected.starts_with("3 there"), "{connected}");
    accepted.handle().reconnect();
    let lost = next(&mut events).await;
    assert!(lost.ends_with(": a reconnect was requested"), "{lost}");
    let connected = next(&mut events).await;
    assert!(connected.starts_with("4 there"), "{connected}");

    accepted.handle().close();
    assert_eq!(next(&mut events).await, "closed");
    drop(accepted);
    assert!(events.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_the_place_of_a_live_one_is_a_loss_and_a_connection() {
    let (server, mut streams) = Server::new(options());
    let (mut client, mut accepted) = server.begin(&mut streams).await;
    exchange(&mut client, &mut accepted).await.unwrap();
    let mut events = accepted.handle().subscribe_events();

    // The server does not learn that the client has given up its connection.
    server.silence();
    client.handle().reconnect();
    let lost = next(&mut events).await;
    let cause = "the client has resumed the session on another connection";
    assert!(lost.ends_with(cause), "{lost}");
    let connected = next(&mut events).await;
    assert_eq!(connected, "2 there after 0 attempts and 0ns");
    exchange(&mut client, &mut accepted).await.unwrap();
}

/// A connection whose drop panics.
struct Fragile(DuplexStream);

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "of a drop, as the test wants it");
    }
}

impl AsyncRead for Fragile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Fragile {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_drop_panics_is_lost_like_any_other() {
    let sessions = Sessions::new(options());
    let (sender, mut streams) = mpsc::unbounded_channel();
    let connector = move || {
        let (client, io) = duplex(4096);
        let (sessions, sender) = (sessions.clone(), sender.clone());
        tokio::spawn(async move {
            if let Ok(Accepted::New(stream)) = sessions.accept(Fragile(io)).await {
                let _ = sender.send(stream);
            }
        });
        std::future::ready(io::Result::Ok(client))
    };
    let client = ResumableStream::builder(connector).policy(quick());
    let mut client = client.connect().await.unwrap();
    let mut accepted = streams.recv().await.unwrap();
    exchange(&mut client, &mut accepted).await.unwrap();
    let mut events = accepted.handle().subscribe_events();
    for generation in 1..4 {
        client.handle().reconnect();
        let lost = next(&mut events).await;
        assert!(lost.starts_with(&format!("{generation} lost")), "{lost}");
        let connected = next(&mut events).await;
        let expected = format!("{} there", generation + 1);
        assert!(connected.starts_with(&expected), "{connected}");
        exchange(&mut client, &mut accepted).await.unwrap();
    }
    drop((client, accepted));
}
