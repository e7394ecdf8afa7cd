//! The limits of a server.

use std::time::Duration;

use reconnecting_stream::{
    Accepted, Policy, ResumableStream, SessionLostReason, SessionOptions, Sessions,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use crate::support::{Network, accepting, cut, reason, settle, small, soon};
use crate::wire::{ACK, Credentials, answer, begin, hello, welcomed};

#[tokio::test(start_paused = true)]
async fn a_hundred_clients_at_a_limit_of_ten_get_ten_sessions() {
    let sessions = Sessions::new(small().max_sessions(10));
    let mut clients = Vec::new();
    let mut accepts = Vec::new();
    for _ in 0..100 {
        let (mut client, server) = duplex(4096);
        client.write_all(&hello()).await.unwrap();
        client.write_all(&ACK).await.unwrap();
        let sessions = sessions.clone();
        accepts.push(tokio::spawn(async move { sessions.accept(server).await }));
        clients.push(client);
    }
    let mut streams = Vec::new();
    for accept in accepts {
        if let Ok(Accepted::New(stream)) = soon(accept).await.unwrap() {
            streams.push(stream);
        }
    }
    assert_eq!((streams.len(), sessions.len()), (10, 10));
    let mut busy = 0;
    for client in &mut clients {
        busy += usize::from(answer(client).await == (5, Some(0x40)));
    }
    assert_eq!(busy, 90);
    drop(streams);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(sessions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_retries_gets_a_session_once_there_is_room() {
    let (network, mut streams) = Network::new(small().max_sessions(1));
    let first = network.builder().connect().await.unwrap();
    let first_server = streams.recv().await.unwrap();
    let error = network.builder().connect().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy);
    let began = tokio::time::Instant::now();
    let second = network.builder().retry_initial_connect(true);
    let second = tokio::spawn(second.connect());
    tokio::time::sleep(Duration::from_millis(2500)).await;
    // The server asks for a second: it is not asked a hundred times.
    assert!(network.dials() <= 6, "{} dials", network.dials());
    drop((first, first_server));
    let mut second = soon(second).await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    let mut server = soon(streams.recv()).await.unwrap();
    second.write_all(b"x").await.unwrap();
    assert_eq!(soon(server.read_u8()).await.unwrap(), b'x');
}

async fn begin_as(
    sessions: &Sessions,
    identity: &'static str,
) -> Option<(ResumableStream, Credentials)> {
    let (mut client, server) = duplex(4096);
    let accept = tokio::spawn({
        let sessions = sessions.clone();
        async move { sessions.accept_from(server, identity).await }
    });
    let handshake = async move {
        let credentials = welcomed(&mut client).await;
        client.write_all(&ACK).await.unwrap();
        credentials
    };
    let credentials = tokio::spawn(async move {
        tokio::time::timeout(Duration::from_secs(1), handshake)
            .await
            .ok()
    });
    match soon(accept).await.unwrap() {
        Ok(Accepted::New(stream)) => Some((stream, credentials.await.unwrap()?)),
        _ => None,
    }
}

/// The answer to a RESUME of this identity.
async fn resume_as(
    sessions: &Sessions,
    identity: Option<&'static str>,
    credentials: &Credentials,
) -> (u8, Option<u8>) {
    let (mut client, server) = duplex(4096);
    client.write_all(&credentials.resume(1)).await.unwrap();
    let sessions = sessions.clone();
    tokio::spawn(async move {
        match identity {
            Some(identity) => sessions.accept_from(server, identity).await,
            None => sessions.accept(server).await,
        }
    });
    soon(answer(&mut client)).await
}

#[tokio::test(start_paused = true)]
async fn a_session_is_resumed_only_by_the_identity_that_began_it() {
    let sessions = Sessions::new(small());
    let (_stream, credentials) = begin_as(&sessions, "alice").await.unwrap();
    for identity in [Some("bob"), Some(""), None] {
        let answer = resume_as(&sessions, identity, &credentials).await;
        assert_eq!(answer, (5, Some(2)));
    }
    let answer = resume_as(&sessions, Some("alice"), &credentials).await;
    assert_eq!(answer, (4, None));
}

#[tokio::test(start_paused = true)]
async fn how_a_session_ended_is_said_only_to_the_identity_that_began_it() {
    let sessions = Sessions::new(small());
    let (stream, credentials) = begin_as(&sessions, "alice").await.unwrap();
    stream.handle().close();
    while !sessions.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for identity in [Some("bob"), Some(""), None] {
        let answer = resume_as(&sessions, identity, &credentials).await;
        assert_eq!(answer, (5, Some(2)), "no such session");
    }
    let answer = resume_as(&sessions, Some("alice"), &credentials).await;
    assert_eq!(answer, (5, Some(7)), "closed");
}

#[tokio::test(start_paused = true)]
async fn a_detached_session_is_evicted_when_the_memory_is_used_up_and_a_live_one_is_not() {
    let (network, mut streams) = Network::new(SessionOptions::new().memory_budget(160 * 1024));
    let builder = || network.builder().options(SessionOptions::new());
    let mut first = builder().connect().await.unwrap();
    let mut first_server = streams.recv().await.unwrap();
    first.write_all(&[1; 10]).await.unwrap();
    first.acknowledged().await.unwrap();
    let _second = builder().connect().await.unwrap();
    let _second_server = streams.recv().await.unwrap();
    // Both have connections: there is no room.
    let error = builder().connect().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy);
    cut(&first, &network).await;
    first.write_all(&[2; 10]).await.unwrap();
    let reading = tokio::spawn(async move {
        let mut bytes = Vec::new();
        (first_server.read_to_end(&mut bytes).await, bytes)
    });
    settle().await;
    network.go_down(false);
    let began = tokio::time::Instant::now();
    let _third = builder().connect().await.unwrap();
    let (read, bytes) = soon(reading).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO, "it is woken");
    let error = read.unwrap_err();
    assert_eq!(reason(&error), Some(SessionLostReason::Evicted));
    assert_eq!(bytes, [1; 10]);
    let error = soon(first.read_u8()).await.unwrap_err();
    assert_eq!(reason(&error), Some(SessionLostReason::Evicted));
    assert_eq!(network.sessions().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn handshakes_beyond_the_limit_are_dropped_and_those_that_end_give_their_place_back() {
    let sessions = Sessions::new(small().max_handshakes(3));
    for _ in 0..3 {
        let mut held = Vec::new();
        for _ in 0..3 {
            let (client, server) = duplex(4096);
            let sessions = sessions.clone();
            held.push((
                client,
                tokio::spawn(async move { sessions.accept(server).await }),
            ));
        }
        settle().await;
        let (_client, server) = duplex(4096);
        let error = soon(sessions.accept(server)).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        held.iter().for_each(|(_, accept)| accept.abort());
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn hellos_that_no_client_confirms_take_no_tombstone_from_a_session() {
    let (network, mut streams) = Network::new(small().max_sessions(2));
    let mut client = network.builder().connect().await.unwrap();
    let server = streams.recv().await.unwrap();
    cut(&client, &network).await;
    drop(server);
    settle().await;
    // A tombstone for each of these would be more than the server keeps.
    for _ in 0..40 {
        begin_unconfirmed(&network.sessions()).await;
    }
    network.go_down(false);
    let error = soon(client.read_u8()).await.unwrap_err();
    assert_eq!(reason(&error), Some(SessionLostReason::PeerReset));
}

/// Begins a session that its client does not confirm.
async fn begin_unconfirmed(sessions: &Sessions) -> Credentials {
    let (mut io, accept) = accepting(sessions);
    let credentials = welcomed(&mut io).await;
    drop(io);
    assert!(soon(accept).await.unwrap().is_err());
    // Each begins at a time of its own.
    tokio::time::sleep(Duration::from_millis(1)).await;
    credentials
}

#[tokio::test(start_paused = true)]
async fn the_oldest_session_that_no_client_has_confirmed_makes_room_for_a_new_one() {
    let sessions = Sessions::new(small().max_sessions(3));
    let (_stream, client, accepted) = begin(&sessions).await;
    drop(client);
    let first = begin_unconfirmed(&sessions).await;
    let second = begin_unconfirmed(&sessions).await;
    begin_unconfirmed(&sessions).await;
    let answers = [
        (first, (5, Some(2))),
        (second, (4, None)),
        (accepted, (4, None)),
    ];
    for (credentials, expected) in answers {
        let answer = resume_as(&sessions, None, &credentials).await;
        assert_eq!(answer, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hello_of_an_identity_that_has_too_many_sessions_evicts_none_of_another_one() {
    let options = small().max_sessions(2).max_sessions_per_identity(1);
    let sessions = Sessions::new(options);
    let _alice = begin_as(&sessions, "alice").await.unwrap();
    let (mut io, server) = duplex(4096);
    let bob = tokio::spawn({
        let sessions = sessions.clone();
        async move { sessions.accept_from(server, "bob").await }
    });
    let credentials = welcomed(&mut io).await;
    drop(io);
    assert!(soon(bob).await.unwrap().is_err());
    // The server is full, and the identity as well.
    let (mut io, server) = duplex(4096);
    io.write_all(&hello()).await.unwrap();
    assert!(soon(sessions.accept_from(server, "alice")).await.is_err());
    assert_eq!(answer(&mut io).await, (5, Some(0x40)));
    let answer = resume_as(&sessions, Some("bob"), &credentials).await;
    assert_eq!(answer, (4, None));
}

#[tokio::test(start_paused = true)]
async fn sessions_that_come_and_go_leave_nothing() {
    let options = small()
        .memory_budget(300 * 1024)
        .max_sessions_per_identity(1);
    let (network, mut streams) = Network::new(options);
    let alive = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = alive();
    for round in 0..500 {
        let policy = Policy::default();
        let mut client = network.builder().policy(policy).connect().await.unwrap();
        let mut server = streams.recv().await.unwrap();
        client.write_all(&[7; 1000]).await.unwrap();
        match round % 5 {
            0 => drop((client, server)),
            1 => client.handle().close(),
            2 => {
                let (a, b) =
                    soon(async { tokio::join!(client.shutdown(), server.shutdown()) }).await;
                a.and(b).unwrap();
            }
            3 => server.handle().close(),
            _ => {
                client.handle().reconnect();
                drop(server);
                assert!(soon(client.read_u8()).await.is_err());
            }
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(network.sessions().is_empty());
    }
    assert_eq!(alive(), before);
}
