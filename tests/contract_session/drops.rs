//! Streams that are dropped after their shutdown: what they throw away, and how long they wait.

use std::future::{poll_fn, ready};
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use reconnecting_stream::SessionLostReason::PeerReset;
use reconnecting_stream::{Accepted, ResumableStream, Sessions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Network, accepting, cut, pair, reason, settle, small, soon};
use crate::wire::{ACK, PONG, begin, say, welcomed};

/// Returns the stream to drop, then the one that is left.
fn roles(
    (client, server): (ResumableStream, ResumableStream),
    client_drops: bool,
) -> (ResumableStream, ResumableStream) {
    match client_drops {
        true => (client, server),
        false => (server, client),
    }
}

/// Begins a shutdown, and does not wait for it.
async fn begin_shutdown(stream: &mut ResumableStream) {
    let poll = poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_shutdown(cx))).await;
    assert!(poll.is_pending());
}

async fn check_reset(mut left: ResumableStream) {
    let error = soon(left.shutdown()).await.unwrap_err();
    assert_eq!(reason(&error), Some(PeerReset));
    // It was shut down.
    let text = "the session is lost: one end was dropped before the session was complete";
    assert!(error.to_string().starts_with(text), "{error}");
    assert!(soon(left.write_all(b"x")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn bytes_and_an_end_for_an_application_that_is_gone_fail_the_shutdown() {
    for client_drops in [true, false] {
        let (client, server, network) = pair().await;
        let (mut dropped, mut left) = roles((client, server), client_drops);
        soon(dropped.shutdown()).await.unwrap();
        drop(dropped);
        settle().await;
        assert_eq!(left.read(&mut [0; 8]).await.unwrap(), 0);
        left.write_all(b"lost").await.unwrap();
        check_reset(left).await;
        soon(network.sessions().shutdown(Duration::MAX)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_thrown_away_before_the_end_has_arrived_fail_the_shutdown() {
    for client_drops in [true, false] {
        let (client, server, network) = pair().await;
        let (mut dropped, mut left) = roles((client, server), client_drops);
        // More than the window, so that the end waits.
        dropped.write_all(&[7; 30_000]).await.unwrap();
        begin_shutdown(&mut dropped).await;
        drop(dropped);
        left.write_all(&[1; 10_000]).await.unwrap();
        soon(left.acknowledged()).await.unwrap();
        let mut all = Vec::new();
        soon(left.read_to_end(&mut all)).await.unwrap();
        assert_eq!(all.len(), 30_000, "its own bytes, and the end");
        sleep(Duration::from_secs(60)).await;
        check_reset(left).await;
        soon(network.sessions().shutdown(Duration::MAX)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_unread_at_a_drop_fail_the_shutdown() {
    for client_drops in [true, false] {
        for is_end_acknowledged in [true, false] {
            let (client, server, network) = pair().await;
            let (mut dropped, mut left) = roles((client, server), client_drops);
            left.write_all(&[1; 100]).await.unwrap();
            soon(left.acknowledged()).await.unwrap();
            match is_end_acknowledged {
                true => soon(dropped.shutdown()).await.unwrap(),
                false => begin_shutdown(&mut dropped).await,
            }
            drop(dropped);
            settle().await;
            check_reset(left).await;
            soon(network.sessions().shutdown(Duration::MAX)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_thrown_away_across_an_outage_fail_the_shutdown() {
    for client_drops in [true, false] {
        let (client, server, network) = pair().await;
        cut(&client, &network).await;
        let (mut dropped, mut left) = roles((client, server), client_drops);
        dropped.write_all(b"last").await.unwrap();
        begin_shutdown(&mut dropped).await;
        drop(dropped);
        left.write_all(b"lost").await.unwrap();
        begin_shutdown(&mut left).await;
        network.go_down(false);
        let mut all = Vec::new();
        soon(left.read_to_end(&mut all)).await.unwrap();
        assert_eq!(all, b"last");
        check_reset(left).await;
        soon(network.sessions().shutdown(Duration::MAX)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_streams_that_are_dropped_with_bytes_on_their_way_end_without_a_delay() {
    let (mut client, mut server, network) = pair().await;
    for stream in [&mut client, &mut server] {
        stream.write_all(b"lost").await.unwrap();
        begin_shutdown(stream).await;
    }
    drop((client, server));
    let began = Instant::now();
    soon(network.sessions().shutdown(Duration::MAX)).await;
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_drop_that_throws_nothing_away_lets_both_ends_complete() {
    for client_drops in [true, false] {
        let (client, server, network) = pair().await;
        let (mut dropped, mut left) = roles((client, server), client_drops);
        left.write_all(b"read").await.unwrap();
        dropped.read_exact(&mut [0; 4]).await.unwrap();
        begin_shutdown(&mut dropped).await;
        drop(dropped);
        soon(left.shutdown()).await.unwrap();
        assert_eq!(soon(left.read(&mut [0])).await.unwrap(), 0);
        soon(network.sessions().shutdown(Duration::MAX)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_dropped_waits_for_its_peers_shutdown_for_the_time_to_live() {
    for client_drops in [true, false] {
        for (waits, expected) in [(100, None), (130, Some(PeerReset))] {
            let (client, server, network) = pair().await;
            let (mut dropped, mut left) = roles((client, server), client_drops);
            dropped.write_all(b"last").await.unwrap();
            soon(dropped.shutdown()).await.unwrap();
            drop(dropped);
            sleep(Duration::from_secs(waits)).await;
            let shutdown = soon(left.shutdown()).await;
            assert_eq!(shutdown.err().as_ref().and_then(reason), expected);
            let mut all = Vec::new();
            soon(left.read_to_end(&mut all)).await.unwrap();
            assert_eq!(all, b"last");
            soon(network.sessions().shutdown(Duration::MAX)).await;
        }
    }
}

/// Drops a stream of a server whose client never reads, and has to end it after so many seconds.
async fn check_orphan(mut permits: impl FnMut(u64) -> u64, expected: std::ops::Range<u64>) {
    let sessions = Sessions::new(small());
    let (mut client, accept) = accepting(&sessions);
    // It permits 4096 bytes.
    welcomed(&mut client).await;
    client.write_all(&ACK).await.unwrap();
    let Accepted::New(mut stream) = soon(accept).await.unwrap().unwrap() else {
        panic!("not a new session");
    };
    stream.write_all(&[7; 10_000]).await.unwrap();
    begin_shutdown(&mut stream).await;
    drop(stream);
    let began = Instant::now();
    let mut bytes = [0; 8192];
    while !sessions.is_empty() && began.elapsed() < Duration::from_secs(86_400) {
        sleep(Duration::from_secs(10)).await;
        let mut ack = ACK;
        let received = permits(began.elapsed().as_secs());
        ack[3..11].copy_from_slice(&received.to_be_bytes());
        let _ = client.write_all(&ack).await;
        let _ = timeout(Duration::from_millis(1), client.read(&mut bytes)).await;
    }
    let ended_after = began.elapsed().as_secs();
    assert!(expected.contains(&ended_after), "{ended_after} s");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_acknowledges_nothing_for_ten_times_to_live_ends_a_stream_that_was_dropped() {
    check_orphan(|_| 0, 1200..1220).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_acknowledges_slowly_keeps_a_stream_that_was_dropped() {
    // A byte in 1000 s, for three hours.
    check_orphan(|seconds| (seconds / 1000).min(10), 11_200..11_220).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_resumes_again_and_again_does_not_keep_a_stream_that_was_dropped() {
    let sessions = Sessions::new(small());
    let (mut stream, client, credentials) = begin(&sessions).await;
    stream.write_all(&[7; 10_000]).await.unwrap();
    begin_shutdown(&mut stream).await;
    drop(stream);
    let began = Instant::now();
    let mut connections = vec![client];
    while !sessions.is_empty() && began.elapsed() < Duration::from_secs(86_400) {
        // It is without a connection for a minute.
        connections.clear();
        sleep(Duration::from_secs(60)).await;
        let epoch = began.elapsed().as_secs();
        connections.push(say(&sessions, &credentials.resume(epoch)).await);
        for _ in (0..29).take_while(|_| !sessions.is_empty()) {
            sleep(Duration::from_secs(10)).await;
            // A sign of life, that acknowledges nothing.
            let _ = connections[0].write_all(&PONG).await;
        }
    }
    // Ten times to live with a connection: four times 290 s, and 40 s.
    let ended_after = began.elapsed().as_secs();
    assert!((1500..1520).contains(&ended_after), "{ended_after} s");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_slowly_gets_everything_from_a_stream_that_was_dropped() {
    let (mut client, mut left, _network) = pair().await;
    client.write_all(&[7; 30_000]).await.unwrap();
    begin_shutdown(&mut client).await;
    drop(client);
    let (mut all, mut bytes) = (0, [0; 20]);
    loop {
        sleep(Duration::from_secs(10)).await;
        match left.read(&mut bytes).await.unwrap() {
            0 => break,
            n => all += n,
        }
    }
    assert_eq!(all, 30_000);
}

/// A connection that brings everything 50 ms late.
fn late(network: &Network) -> io::Result<DuplexStream> {
    let (client, near) = duplex(4096);
    let (from_client, to_client) = split(near);
    let (from_server, to_server) = split(network.dial()?);
    tokio::spawn(bring_late(from_client, to_server));
    tokio::spawn(bring_late(from_server, to_client));
    Ok(client)
}

async fn bring_late(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut bytes = [0; 1024];
    while let Ok(n @ 1..) = from.read(&mut bytes).await {
        sleep(Duration::from_millis(50)).await;
        if to.write_all(&bytes[..n]).await.is_err() {
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_to_live_that_a_client_sets_ends_no_stream_that_was_dropped_before_it_had_a_connection()
 {
    let (network, mut streams) = Network::new(small());
    let dialed = network.clone();
    let mut client = ResumableStream::builder(move || ready(late(&dialed)))
        .options(small().time_to_live(Duration::from_millis(1)))
        .lazy();
    client.write_all(b"last").await.unwrap();
    begin_shutdown(&mut client).await;
    drop(client);
    let mut left = soon(streams.recv()).await.unwrap();
    let mut all = Vec::new();
    soon(left.read_to_end(&mut all)).await.unwrap();
    assert_eq!(all, b"last");
    // Nothing was thrown away.
    sleep(Duration::from_secs(100)).await;
    soon(left.shutdown()).await.unwrap();
}
