//! The suite over sessions: on which connection, and what is cut meanwhile.

use std::sync::Arc;

use reconnecting_stream::{ResumableStream, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt, join};

use crate::suite::{Pair, conforms};
use crate::support::{Network, pair, small};

/// Cuts the connection and waits for the one with this number.
async fn advance_to(client: &ResumableStream, wanted: u64) {
    let mut states = client.handle().subscribe();
    client.handle().reconnect();
    let is_there =
        |state: &State| matches!(state, State::Connected { generation } if *generation >= wanted);
    states.wait_for(is_there).await.unwrap();
}

/// Returns a session on its connection with this number. Each has moved some bytes.
async fn session_on(connection: u64) -> (ResumableStream, ResumableStream) {
    let (mut client, mut server, _network) = pair().await;
    for next in 2..=connection {
        client.write_all(b"up").await.unwrap();
        server.write_all(b"down").await.unwrap();
        advance_to(&client, next).await;
        server.read_exact(&mut [0; 2]).await.unwrap();
        client.read_exact(&mut [0; 4]).await.unwrap();
    }
    (client, server)
}

#[tokio::test(start_paused = true)]
async fn a_session_conforms_on_its_first_second_and_tenth_connection() {
    for connection in [1, 2, 10] {
        conforms(async || {
            let (client, server) = session_on(connection).await;
            Pair::of(client, server)
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_connection_is_replaced_meanwhile_conforms() {
    for connection in [1, 2, 10] {
        conforms(async || {
            let (client, server) = session_on(connection).await;
            let handle = client.handle();
            Pair {
                cut: Box::new(move || handle.reconnect()),
                ..Pair::of(client, server)
            }
        })
        .await;
    }
}

/// Returns a session none of whose connections moves more than a few kilobytes in a direction.
async fn short_lived(seed: u64) -> (ResumableStream, ResumableStream) {
    let mut random = fastrand::Rng::with_seed(seed);
    let next = move || (random.usize(400..6000), random.usize(400..6000));
    let (network, mut streams) = Network::with_cuts(small(), next);
    let client = network.builder().connect().await.unwrap();
    (client, streams.recv().await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_connections_all_fail_soon_conforms() {
    for seed in 0..3 {
        conforms(async || {
            let (client, server) = short_lived(seed).await;
            let handle = Arc::new(client.handle());
            Pair {
                cut: Box::new(move || handle.reconnect()),
                ..Pair::of(client, server)
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_in_owned_halves_conforms() {
    conforms(async || {
        let (client, server) = short_lived(7).await;
        let handle = client.handle();
        let (reader, writer) = client.into_split();
        Pair {
            cut: Box::new(move || handle.reconnect()),
            ..Pair::of(join(reader, writer), server)
        }
    })
    .await;
}
