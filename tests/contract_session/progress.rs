//! Peers that make little progress.

use std::time::Duration;

use reconnecting_stream::{Accepted, Backoff, Policy, Sessions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::support::{Network, accepting, byte, small, soon};
use crate::wire::{ACK, welcomed};

/// Returns how many connections a client makes in a minute if each fails right behind its handshake.
async fn dials_in_a_minute(stable_after: Duration) -> usize {
    // A WELCOME has 64 bytes, and a RESUMED has 61.
    let (network, _streams) = Network::with_cuts(small(), || (64, usize::MAX));
    let backoff = Backoff::exponential(Duration::from_millis(100)).max(Duration::from_secs(60));
    let policy = Policy::default()
        .backoff(backoff)
        .max_attempts(None)
        .max_outage(None)
        .stable_after(stable_after);
    let mut stream = network.builder().policy(policy).lazy();
    stream.write_all(b"never acknowledged").await.unwrap();
    sleep(Duration::from_secs(60)).await;
    network.dials()
}

#[tokio::test(start_paused = true)]
async fn connections_that_fail_right_behind_their_handshakes_do_not_reset_the_backoff() {
    // Delays that double fit in ten times, with jitter some more.
    let dials = dials_in_a_minute(Duration::from_secs(1)).await;
    assert!((3..40).contains(&dials), "{dials} connections");
    // A policy that takes each of them for a success dials again and again.
    let dials = dials_in_a_minute(Duration::ZERO).await;
    assert!(dials > 100, "{dials} connections");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_each_byte_in_a_frame_of_its_own_is_read() {
    const LEN: usize = 10_000;
    let sessions = Sessions::new(small());
    let (mut client, accept) = accepting(&sessions);
    welcomed(&mut client).await;
    client.write_all(&ACK).await.unwrap();
    let Accepted::New(mut stream) = soon(accept).await.unwrap().unwrap() else {
        panic!("it has not begun");
    };
    let (mut reader, mut writer) = tokio::io::split(client);
    let drain =
        tokio::spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
    let sending = tokio::spawn(async move {
        for offset in 0..LEN {
            let mut frame = vec![0x10, 0, 9];
            frame.extend_from_slice(&(offset as u64).to_be_bytes());
            frame.push(byte(16, offset));
            writer.write_all(&frame).await?;
        }
        Ok::<_, std::io::Error>(writer)
    });
    let mut read = vec![0; LEN];
    soon(stream.read_exact(&mut read)).await.unwrap();
    assert!(
        read.iter()
            .enumerate()
            .all(|(at, read)| *read == byte(16, at))
    );
    drop((sending.await.unwrap().unwrap(), stream));
    drain.abort();
}
