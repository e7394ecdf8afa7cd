//! How sessions end: dropped, closed, shut down.

use std::time::Duration;

use reconnecting_stream::{Accepted, ResumableStream, SessionLost, SessionLostReason, Sessions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::support::{
    Network, accepting, cut, pair, pair_that_has_begun, reason, settle, small, soon,
};
use crate::wire::{ACK, RESET, welcomed};

/// Checks that what had arrived is read first, and then the loss, and never an end.
async fn check_lost(stream: &mut ResumableStream, expected: SessionLostReason) {
    let mut bytes = [0; 5];
    soon(stream.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(&bytes, b"first");
    for _ in 0..3 {
        let error = soon(stream.read(&mut bytes)).await.unwrap_err();
        assert_eq!(reason(&error), Some(expected));
    }
    for error in [
        stream.write(b"x").await.unwrap_err(),
        stream.flush().await.unwrap_err(),
        stream.shutdown().await.unwrap_err(),
        stream.acknowledged().await.unwrap_err(),
    ] {
        assert_eq!(reason(&error), Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_drop_without_a_shutdown_resets_the_peer() {
    for client_drops in [true, false] {
        let (client, server, network) = pair().await;
        let (mut dropped, mut left) = match client_drops {
            true => (client, server),
            false => (server, client),
        };
        dropped.write_all(b"first").await.unwrap();
        soon(dropped.acknowledged()).await.unwrap();
        drop(dropped);
        check_lost(&mut left, SessionLostReason::PeerReset).await;
        soon(network.sessions().shutdown(Duration::MAX)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_drop_without_a_shutdown_while_detached_resets_the_peer() {
    for client_drops in [true, false] {
        let (client, server, network) = pair_that_has_begun().await;
        cut(&client, &network).await;
        let (dropped, mut left) = match client_drops {
            true => (client, server),
            false => (server, client),
        };
        drop(dropped);
        network.go_down(false);
        check_lost(&mut left, SessionLostReason::PeerReset).await;
        soon(network.sessions().shutdown(Duration::MAX)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_connection_is_closed_when_it_is_dropped_expires_at_its_server() {
    let (client, mut server, _network) = pair().await;
    settle().await;
    let began = Instant::now();
    drop(client);
    // Before it has read the RESET.
    server.handle().reconnect();
    let error = soon(server.read_u8()).await.unwrap_err();
    assert_eq!(reason(&error), Some(SessionLostReason::Expired));
    assert_eq!(began.elapsed(), Duration::from_secs(120));
}

#[tokio::test(start_paused = true)]
async fn a_drop_after_a_shutdown_delivers_everything() {
    for is_detached in [true, false] {
        for client_drops in [true, false] {
            let (client, server, network) = pair().await;
            if is_detached {
                cut(&client, &network).await;
            }
            let (mut dropped, mut left) = match client_drops {
                true => (client, server),
                false => (server, client),
            };
            dropped.write_all(&[7; 10_000]).await.unwrap();
            let shutdown = tokio::time::timeout(Duration::ZERO, dropped.shutdown());
            let _ = shutdown.await;
            drop(dropped);
            settle().await;
            network.go_down(false);
            let mut bytes = Vec::new();
            soon(left.read_to_end(&mut bytes)).await.unwrap();
            assert_eq!(bytes.len(), 10_000);
            soon(left.shutdown()).await.unwrap();
            drop(left);
            soon(network.sessions().shutdown(Duration::MAX)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_for_an_application_that_is_gone_reset_the_peer_without_a_delay() {
    // A long payload is read where it is kept, and a short one is not.
    for len in [3, 8 * 1024] {
        let sessions = Sessions::new(small());
        let (mut client, accept) = accepting(&sessions);
        welcomed(&mut client).await;
        client.write_all(&ACK).await.unwrap();
        let Accepted::New(mut stream) = soon(accept).await.unwrap().unwrap() else {
            panic!("it has not begun");
        };
        let shutdown = tokio::spawn(async move { stream.shutdown().await.map(|()| stream) });
        settle().await;
        let mut end_received = ACK;
        end_received[10] = 1;
        client.write_all(&end_received).await.unwrap();
        drop(soon(shutdown).await.unwrap().unwrap());

        let began = Instant::now();
        let [high, low] = u16::try_from(8 + len).unwrap().to_be_bytes();
        client.write_all(&[0x10, high, low]).await.unwrap();
        client.write_all(&[0; 8]).await.unwrap();
        settle().await;
        client.write_all(&vec![1; len]).await.unwrap();
        let mut frames = Vec::new();
        soon(client.read_to_end(&mut frames)).await.unwrap();
        assert!(frames.ends_with(&RESET), "{len}: {frames:?}");
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_gives_both_ends_the_loss_behind_what_had_arrived() {
    for client_closes in [true, false] {
        let (mut client, mut server, network) = pair_that_has_begun().await;
        match client_closes {
            true => client.handle().close(),
            false => server.handle().close(),
        }
        check_lost(&mut client, SessionLostReason::Closed).await;
        check_lost(&mut server, SessionLostReason::Closed).await;
        settle().await;
        assert!(network.sessions().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_shuts_down_ends_sessions_after_the_deadline_and_remembers_them() {
    let (mut client, mut server, network) = pair().await;
    let (mut detached, _server, _) = pair_of(&network).await;
    detached
        .handle()
        .mark_lost(std::io::ErrorKind::TimedOut.into());
    soon(network.sessions().shutdown(Duration::from_secs(5))).await;
    assert!(network.sessions().is_empty());
    for stream in [&mut client, &mut server, &mut detached] {
        let error = soon(stream.read_u8()).await.unwrap_err();
        assert_eq!(reason(&error), Some(SessionLostReason::Closed));
    }
    let error = network.builder().connect().await.unwrap_err();
    assert_eq!(
        SessionLost::find(&error).unwrap().reason,
        SessionLostReason::Closed
    );
}

async fn pair_of(network: &Network) -> (ResumableStream, ResumableStream, ()) {
    // The streams of the first pair are not returned here, so a second network would be another
    // server. The stream is made over the same sessions.
    let (near, far) = tokio::io::duplex(4096);
    let sessions = network.sessions();
    let accept = tokio::spawn(async move { sessions.accept(far).await });
    let mut first = Some(near);
    let network = network.clone();
    let connector = move || {
        std::future::ready(match first.take() {
            Some(near) => Ok(crate::support::Pipe::new(near, (usize::MAX, usize::MAX))),
            None => network.dial(),
        })
    };
    let client = ResumableStream::builder(connector).options(small());
    let client = client.connect().await.unwrap();
    match accept.await.unwrap().unwrap() {
        Accepted::New(server) => (client, server, ()),
        accepted => panic!("{accepted:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_shuts_down_waits_for_sessions_that_end() {
    let (mut client, mut server, network) = pair().await;
    let sessions = network.sessions();
    let shutdown = tokio::spawn(async move { sessions.shutdown(Duration::from_secs(60)).await });
    settle().await;
    client.handle().reconnect();
    client.write_all(b"first").await.unwrap();
    let mut bytes = [0; 5];
    server.read_exact(&mut bytes).await.unwrap();
    let (a, b) = tokio::join!(client.shutdown(), server.shutdown());
    a.and(b).unwrap();
    soon(shutdown).await.unwrap();
    assert!(network.sessions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_flush_is_ready_after_the_end_if_the_peer_takes_no_more() {
    let sessions = Sessions::new(small());
    let (mut client, server) = tokio::io::duplex(64);
    let accept = tokio::spawn({
        let sessions = sessions.clone();
        async move { sessions.accept(server).await }
    });
    welcomed(&mut client).await;
    client.write_all(&ACK).await.unwrap();
    let Accepted::New(mut stream) = soon(accept).await.unwrap().unwrap() else {
        panic!("not a new session")
    };
    let shutdown = tokio::time::timeout(Duration::from_millis(50), stream.shutdown());
    assert!(shutdown.await.is_err());
    // Answers that the client does not read fill the pipe.
    for _ in 0..10 {
        client
            .write_all(b"\x13\x00\x08\0\0\0\0\0\0\0\x07")
            .await
            .unwrap();
        settle().await;
    }
    let mut ack = ACK;
    ack[10] = 1;
    client.write_all(&ack).await.unwrap();
    client
        .write_all(b"\x12\x00\x08\0\0\0\0\0\0\0\0")
        .await
        .unwrap();
    soon(stream.shutdown()).await.unwrap();
    let began = Instant::now();
    soon(stream.flush()).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(sessions.is_empty());
    soon(stream.flush()).await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_close_while_detached_ends_this_end_and_the_other_one_by_its_next_connection_or_expiry() {
    for client_closes in [true, false] {
        let (mut client, mut server, network) = pair_that_has_begun().await;
        cut(&client, &network).await;
        match client_closes {
            true => client.handle().close(),
            false => server.handle().close(),
        }
        settle().await;
        network.go_down(false);
        let at_server = match client_closes {
            true => SessionLostReason::Expired,
            false => SessionLostReason::Closed,
        };
        check_lost(&mut client, SessionLostReason::Closed).await;
        check_lost(&mut server, at_server).await;
        settle().await;
        assert!(network.sessions().is_empty());
    }
}
