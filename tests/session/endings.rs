//! How a session ends: with every byte, or with an error at both ends.

use std::io;
use std::time::Duration;

use reconnecting_stream::SessionLostReason::{Closed, Expired, PeerReset, Rejected};
use reconnecting_stream::{ResumableStream, SessionLost, SessionOptions, Sessions, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, duplex, split};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::support::{Server, options, pattern, reason};

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_without_a_shutdown_is_an_error_for_the_peer() {
    let (server, mut streams) = Server::new(options());
    for drops_client in [true, false] {
        let (mut client, mut accepted) = server.begin(&mut streams).await;
        client.write_all(b"tail").await.unwrap();
        accepted.write_all(b"tail").await.unwrap();
        client.acknowledged().await.unwrap();
        accepted.acknowledged().await.unwrap();
        let (dropped, mut kept) = match drops_client {
            true => (client, accepted),
            false => (accepted, client),
        };
        drop(dropped);
        let mut bytes = Vec::new();
        let error = kept.read_to_end(&mut bytes).await.unwrap_err();
        assert_eq!(
            (bytes.as_slice(), reason(&error)),
            (&b"tail"[..], PeerReset)
        );
        assert_eq!(reason(&kept.write_all(b"x").await.unwrap_err()), PeerReset);
    }
    sleep(Duration::from_secs(2)).await;
    assert_eq!(server.sessions.lock().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drop_while_there_is_no_connection_is_told_at_the_next_one() {
    let (server, mut streams) = Server::new(options());
    for drops_client in [true, false] {
        let (client, accepted) = server.begin(&mut streams).await;
        server.refuse(true);
        server.cut();
        sleep(Duration::from_millis(5)).await;
        assert_eq!(accepted.state(), State::Detached);
        let (dropped, mut kept) = match drops_client {
            true => (client, accepted),
            false => (accepted, client),
        };
        drop(dropped);
        server.refuse(false);
        let error = kept.read_u8().await.unwrap_err();
        assert_eq!(reason(&error), PeerReset, "drops_client: {drops_client}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_written_before_a_shutdown_and_a_drop_arrives() {
    let (server, mut streams) = Server::new(options());
    let (mut client, mut accepted) = server.begin(&mut streams).await;
    let bytes = pattern(0..300_000);
    client.write_all(&bytes).await.unwrap();
    // The shutdown is begun and not waited for.
    assert!(timeout(Duration::ZERO, client.shutdown()).await.is_err());
    drop(client);
    server.cut();
    let mut received = Vec::new();
    accepted.read_to_end(&mut received).await.unwrap();
    assert!(received == bytes);
    accepted.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_closed_by_a_handle_is_lost_at_both_ends() {
    let (server, mut streams) = Server::new(options());
    for closes_client in [true, false] {
        let (mut client, mut accepted) = server.begin(&mut streams).await;
        match closes_client {
            true => client.handle().close(),
            false => accepted.handle().close(),
        }
        assert_eq!(reason(&client.read_u8().await.unwrap_err()), Closed);
        assert_eq!(reason(&accepted.read_u8().await.unwrap_err()), Closed);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(client.state(), State::Closed);
        assert_eq!(accepted.state(), State::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_is_longer_than_the_time_to_live_is_an_error_at_both_ends() {
    let time_to_live = Duration::from_secs(30);
    let (server, mut streams) = Server::new(options().time_to_live(time_to_live));
    let (mut client, mut accepted) = server.begin(&mut streams).await;
    server.refuse(true);
    server.cut();
    client.write_all(b"lost").await.unwrap();
    let began = tokio::time::Instant::now();
    let error = client.read_u8().await.unwrap_err();
    assert_eq!(reason(&error), Expired);
    assert_eq!(SessionLost::find(&error).unwrap().unacknowledged, 4);
    assert_eq!(reason(&accepted.read_u8().await.unwrap_err()), Expired);
    assert!(began.elapsed() < time_to_live + Duration::from_secs(1));
    assert_eq!(server.sessions.lock().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_know_the_session_ends_it_at_the_client() {
    let (server, mut streams) = Server::new(options());
    let (mut client, _accepted) = server.begin(&mut streams).await;
    client.write_all(b"lost").await.unwrap();
    // Another process, behind the same address.
    *server.sessions.lock().unwrap() = Sessions::new(SessionOptions::new());
    server.cut();
    let error = client.read_u8().await.unwrap_err();
    assert_eq!(reason(&error), Rejected);
    assert_eq!(client.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_reader_gets_the_end_only_behind_every_byte() {
    let (server, mut streams) = Server::new(options());
    for cut in 0..40 {
        let (mut client, mut accepted) = server.begin(&mut streams).await;
        let bytes = pattern(0..100 * cut);
        client.write_all(&bytes).await.unwrap();
        if cut % 2 == 0 {
            server.cut();
        }
        let (shut_down, received) = tokio::join!(client.shutdown(), async {
            let mut received = Vec::new();
            accepted.read_to_end(&mut received).await.map(|_| received)
        });
        shut_down.unwrap();
        assert!(received.unwrap() == bytes);
        let mut rest = [0; 8];
        let (shut_down, end) = tokio::join!(accepted.shutdown(), client.read(&mut rest));
        shut_down.unwrap();
        assert_eq!(end.unwrap(), 0);
    }
    sleep(Duration::from_secs(2)).await;
    assert_eq!(server.sessions.lock().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_ended_keeps_its_connection_for_a_second_or_until_the_peer_closes_it() {
    let (server, mut streams) = Server::new(options());
    let (sender, mut kept) = mpsc::unbounded_channel();
    let network = server.clone();
    let connector = move || {
        let (connecting, sender) = (network.connect(), sender.clone());
        async move {
            let (client, near) = duplex(4096);
            let (mut from_client, mut to_client) = split(near);
            let (mut from_server, mut to_server) = split(connecting.await?);
            tokio::spawn(async move {
                let up = copy(&mut from_client, &mut to_server);
                let down = copy(&mut from_server, &mut to_client);
                let _ = tokio::join!(up, down);
                // The client has sent its end. A connection that is dropped takes no byte.
                for _ in 0..2 {
                    sleep(Duration::from_millis(600)).await;
                    let _ = sender.send(to_client.write_all(b"x").await.is_ok());
                }
            });
            io::Result::Ok(client)
        }
    };
    let mut client = ResumableStream::connect(connector).await.unwrap();
    client.write_all(b"x").await.unwrap();
    let mut stream = streams.recv().await.unwrap();
    let (ended, answered) = tokio::join!(client.shutdown(), stream.shutdown());
    ended.and(answered).unwrap();
    assert_eq!(kept.recv().await, Some(true));
    assert_eq!(kept.recv().await, Some(false));
}
