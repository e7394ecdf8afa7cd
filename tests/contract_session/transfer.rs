//! No byte is lost, repeated or reordered.

use reconnecting_stream::ResumableStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Network, byte, pair, small, soon};

async fn send(stream: &mut (impl AsyncWriteExt + Unpin), seed: u64, len: usize) {
    let bytes: Vec<u8> = (0..len).map(|at| byte(seed, at)).collect();
    for chunk in bytes.chunks(3333) {
        stream.write_all(chunk).await.unwrap();
    }
    stream.shutdown().await.unwrap();
}

async fn check(stream: &mut (impl AsyncReadExt + Unpin), seed: u64, len: usize) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes.len(), len);
    let wrong = bytes
        .iter()
        .enumerate()
        .find(|(at, b)| **b != byte(seed, *at));
    assert_eq!(wrong, None);
}

/// Both ends send and check at the same time.
async fn exchange(client: ResumableStream, server: ResumableStream, seed: u64, len: usize) {
    let (mut from_server, mut to_server) = client.into_split();
    let (mut from_client, mut to_client) = server.into_split();
    soon(async {
        tokio::join!(
            send(&mut to_server, seed, len),
            send(&mut to_client, seed + 1, len),
            check(&mut from_client, seed, len),
            check(&mut from_server, seed + 1, len),
        )
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn resets_every_few_kilobytes_lose_nothing_in_either_direction() {
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        let cuts = move || (random.usize(300..9000), random.usize(300..9000));
        let (network, mut streams) = Network::with_cuts(small(), cuts);
        let client = network.builder().retry_initial_connect(true);
        let client = client.connect().await.unwrap();
        let server = soon(streams.recv()).await.unwrap();
        exchange(client, server, seed, 200_000).await;
        assert!(network.dials() > 20);
        soon(async {
            while !network.sessions().is_empty() {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_at_every_byte_of_a_short_session_loses_nothing() {
    for at in 0..400 {
        for is_read in [true, false] {
            let mut is_first = true;
            let cuts = move || match std::mem::take(&mut is_first) {
                true if is_read => (at, usize::MAX),
                true => (usize::MAX, at),
                false => (usize::MAX, usize::MAX),
            };
            let (network, mut streams) = Network::with_cuts(small(), cuts);
            let client = network.builder().retry_initial_connect(true);
            let client = client.connect().await.unwrap();
            let server = soon(streams.recv()).await.unwrap();
            exchange(client, server, at as u64, 100).await;
            assert!(streams.try_recv().is_err(), "a second stream");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_ends_that_write_everything_before_they_read_do_not_deadlock() {
    let (mut client, mut server, network) = pair().await;
    // As much as the send buffer and the window of the peer hold.
    let len = 32 * 1024;
    let bytes = vec![7; len];
    let (a, b) =
        soon(async { tokio::join!(client.write_all(&bytes), server.write_all(&bytes)) }).await;
    a.and(b).unwrap();
    // Everything is full in both directions when the session is resumed.
    client.handle().reconnect();
    let (mut a, mut b) = (vec![0; len], vec![0; len]);
    let (a, b) =
        soon(async { tokio::join!(client.read_exact(&mut a), server.read_exact(&mut b)) }).await;
    assert_eq!((a.unwrap(), b.unwrap()), (len, len));
    assert_eq!(network.dials(), 2);
}

#[tokio::test(start_paused = true)]
async fn each_end_can_end_its_stream_first_and_read_on() {
    for client_is_first in [true, false] {
        let (client, server, _network) = pair().await;
        let (mut first, mut second) = match client_is_first {
            true => (client, server),
            false => (server, client),
        };
        first.write_all(b"request").await.unwrap();
        soon(first.shutdown()).await.unwrap();
        let mut text = String::new();
        soon(second.read_to_string(&mut text)).await.unwrap();
        assert_eq!(text, "request");
        second.write_all(b"reply").await.unwrap();
        soon(second.shutdown()).await.unwrap();
        text.clear();
        soon(first.read_to_string(&mut text)).await.unwrap();
        assert_eq!(text, "reply");
        assert_eq!(
            first.write(b"x").await.unwrap_err().kind(),
            std::io::ErrorKind::BrokenPipe
        );
    }
}

#[tokio::test(start_paused = true)]
async fn both_ends_can_end_their_streams_at_the_same_time() {
    let (mut client, mut server, network) = pair().await;
    let (a, b) = soon(async { tokio::join!(client.shutdown(), server.shutdown()) }).await;
    a.and(b).unwrap();
    let mut byte = [0];
    assert_eq!(soon(client.read(&mut byte)).await.unwrap(), 0);
    assert_eq!(soon(server.read(&mut byte)).await.unwrap(), 0);
    client.flush().await.unwrap();
    server.flush().await.unwrap();
    client.shutdown().await.unwrap();
    client.acknowledged().await.unwrap();
    soon(network.sessions().shutdown(std::time::Duration::MAX)).await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_at_every_byte_of_the_connection_that_resumes_loses_nothing() {
    for at in 0..300 {
        for is_read in [true, false] {
            let mut number = 0;
            let cuts = move || {
                number += 1;
                match number {
                    1 => (2_000, 2_000),
                    2 if is_read => (at, usize::MAX),
                    2 => (usize::MAX, at),
                    _ => (usize::MAX, usize::MAX),
                }
            };
            let (network, mut streams) = Network::with_cuts(small(), cuts);
            let client = network.builder().connect().await.unwrap();
            let server = soon(streams.recv()).await.unwrap();
            exchange(client, server, at as u64, 4_000).await;
            assert!(streams.try_recv().is_err(), "a second stream");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commands_and_resets_from_many_threads_lose_nothing() {
    let mut sessions = Vec::new();
    for seed in 0..32 {
        let mut random = fastrand::Rng::with_seed(seed);
        let cuts = move || (random.usize(300..30_000), random.usize(300..30_000));
        let (network, mut streams) = Network::with_cuts(small(), cuts);
        sessions.push(tokio::spawn(async move {
            let client = network.builder().retry_initial_connect(true);
            let client = client.connect().await.unwrap();
            let server = streams.recv().await.unwrap();
            let handles = [client.handle(), server.handle()];
            let commands = tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(seed);
                loop {
                    let handle = random.choice(&handles).unwrap();
                    match random.bool() {
                        true => handle.reconnect(),
                        false => handle.mark_lost(std::io::ErrorKind::TimedOut.into()),
                    }
                    for _ in 0..random.u32(..2000) {
                        tokio::task::yield_now().await;
                    }
                }
            });
            exchange(client, server, seed, 300_000).await;
            commands.abort();
        }));
    }
    for session in sessions {
        let session = tokio::time::timeout(std::time::Duration::from_secs(30), session);
        session.await.expect("it hangs").unwrap();
    }
}
