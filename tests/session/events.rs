//! The events of a server's end.

use std::io;
use std::time::Duration;

use reconnecting_stream::{Event, Events, ResumableStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::support::{Server, options};

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
