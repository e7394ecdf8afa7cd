//! Many sessions in one process, through a restart of the network between them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use reconnecting_stream::{Handle, ResumableStream, SessionOptions, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::network::Network;
use crate::sessions;

/// How often each end sends its number while the network goes down and comes back.
const NUMBERS: u64 = 50;

/// Sends the numbers, and expects the peer's, over a stream that stays open.
async fn exchange(stream: &mut ResumableStream) {
    let (mut read, mut write) = tokio::io::split(stream);
    let send = async {
        for number in 0..NUMBERS {
            write.write_u64(number).await.unwrap();
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    };
    let receive = async {
        for number in 0..NUMBERS {
            assert_eq!(read.read_u64().await.unwrap(), number);
        }
    };
    tokio::join!(send, receive);
}

async fn restart(count: usize, away: Duration) {
    let (network, mut streams) = Network::new(SessionOptions::new());
    let mut all = Vec::new();
    for _ in 0..count {
        let (client, server) = network.begin(&mut streams).await;
        all.extend([client, server]);
    }
    network.attempts.store(0, Ordering::Relaxed);
    let handles: Vec<_> = all.iter().map(ResumableStream::handle).collect();
    let ends = all.iter_mut().map(exchange);
    let restart = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        network.take_down();
        tokio::time::sleep(away).await;
        network.bring_up();
        let up = Instant::now();
        let is_back = |handle: &Handle| matches!(handle.state(), State::Connected { generation } if generation > 1);
        while !handles.iter().all(is_back) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        up.elapsed()
    };
    let (_, took) = tokio::join!(join_all(ends), restart);

    // All have continued: there was no other session, and none is lost.
    assert_eq!(network.sessions.len(), count);
    assert!(streams.try_recv().is_err());
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let attempts = network.attempts.load(Ordering::Relaxed) as f64 / count as f64;
    println!(
        "{count} sessions, {away:?} without a network: {attempts:.2} attempts a session, all back in {took:?}"
    );
    assert!(attempts >= 1.0);
    if away.is_zero() {
        // A server takes 1,024 handshakes at a time and asks the others to come later.
        assert!(attempts <= 3.0, "{attempts}");
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_lose_nothing_in_a_restart_without_a_pause() {
    restart(sessions(500), Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn sessions_lose_nothing_in_a_restart_that_takes_a_while() {
    restart(sessions(500), Duration::from_millis(1_200)).await;
}
