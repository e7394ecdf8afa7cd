//! What a server refuses, and what its clients learn.

use std::io::{self, ErrorKind};
use std::time::Duration;

use reconnecting_stream::SessionLostReason::{Closed, Evicted, Rejected};
use reconnecting_stream::{
    Accepted, Policy, ResumableStream, SessionLost, SessionOptions, Sessions,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{sleep, timeout};

use crate::support::{Server, options, quick, reason};

/// Connects once: the client's end, or the error of its attempt.
async fn connect(sessions: &Sessions, identity: Option<&[u8]>) -> io::Result<ResumableStream> {
    let (client, accepted) = duplex(4096);
    let (sessions, identity) = (sessions.clone(), identity.map(<[u8]>::to_vec));
    let accepting = tokio::spawn(async move {
        match identity {
            Some(identity) => sessions.accept_from(accepted, identity).await,
            None => sessions.accept(accepted).await,
        }
    });
    let mut io = Some(client);
    let connector = move || std::future::ready(io.take().ok_or(ErrorKind::NotFound.into()));
    let client = ResumableStream::builder(connector)
        .policy(quick())
        .connect()
        .await?;
    match accepting.await.unwrap()? {
        // The server's end is not used, and not dropped.
        Accepted::New(stream) => std::mem::forget(stream),
        _ => panic!("the session is new"),
    }
    Ok(client)
}

#[tokio::test(start_paused = true)]
async fn of_a_hundred_clients_at_a_limit_of_ten_ten_begin_a_session() {
    let sessions = Sessions::new(SessionOptions::new().max_sessions(10));
    let attempts = (0..100).map(|_| connect(&sessions, None));
    let streams = futures::future::join_all(attempts).await;
    let (begun, refused): (Vec<_>, Vec<_>) = streams.into_iter().partition(Result::is_ok);
    assert_eq!((begun.len(), sessions.len()), (10, 10));
    for error in refused.into_iter().map(Result::unwrap_err) {
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    }
}

#[tokio::test(start_paused = true)]
async fn an_identity_has_at_most_so_many_sessions() {
    let sessions = Sessions::new(SessionOptions::new().max_sessions_per_identity(2));
    let mut streams = Vec::new();
    for identity in [&b"a"[..], b"a", b"b", b"b"] {
        streams.push(connect(&sessions, Some(identity)).await.unwrap());
    }
    let error = connect(&sessions, Some(b"a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    // A session that ends makes room.
    streams.remove(0).handle().close();
    sleep(Duration::from_secs(2)).await;
    streams.push(connect(&sessions, Some(b"a")).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_session_is_only_resumed_by_the_identity_that_began_it() {
    let sessions = Sessions::new(SessionOptions::new());
    let accepting = sessions.clone();
    let (sender, mut accepted) = tokio::sync::mpsc::unbounded_channel();
    let mut identities = [&b"thief"[..], b"owner"].map(<[u8]>::to_vec).to_vec();
    let connector = move || {
        let (client, io) = duplex(4096);
        let (sessions, sender) = (accepting.clone(), sender.clone());
        let identity = identities.pop().unwrap_or_default();
        tokio::spawn(async move {
            let _ = sender.send(sessions.accept_from(io, identity).await);
        });
        std::future::ready(io::Result::Ok(client))
    };
    let mut client = ResumableStream::builder(connector)
        .policy(quick())
        .connect()
        .await
        .unwrap();
    let Ok(Accepted::New(stream)) = accepted.recv().await.unwrap() else {
        panic!("the session is new");
    };
    client.handle().reconnect();
    assert_eq!(reason(&client.read_u8().await.unwrap_err()), Rejected);
    assert!(accepted.recv().await.unwrap().is_err());
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn a_new_session_takes_the_memory_of_the_one_that_was_detached_the_longest() {
    let options = options().memory_budget(3 * 64 * 1024);
    let (server, mut streams) = Server::new(options);
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(server.begin(&mut streams).await);
    }
    // All have a connection: none is evicted.
    let busy = server.clone();
    let error = ResumableStream::connect(move || busy.connect())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    server.refuse(true);
    sessions[1].1.handle().reconnect();
    sleep(Duration::from_millis(10)).await;
    sessions[0].1.handle().reconnect();
    sleep(Duration::from_millis(10)).await;
    server.refuse(false);
    // Its client resumes too late.
    let next = server.begin(&mut streams);
    let _new = timeout(Duration::from_secs(5), next).await.unwrap();
    let error = sessions[1].1.read_u8().await.unwrap_err();
    assert_eq!(reason(&error), Evicted);
    assert_eq!(reason(&sessions[1].0.read_u8().await.unwrap_err()), Evicted);
    sessions[0].0.write_all(b"x").await.unwrap();
    assert_eq!(sessions[0].1.read_u8().await.unwrap(), b'x');
}

#[tokio::test(start_paused = true)]
async fn a_client_that_resumes_too_often_is_told_to_wait_and_does() {
    let (server, mut streams) = Server::new(SessionOptions::new().max_resumes_per_second(3));
    let (mut client, mut accepted) = server.begin(&mut streams).await;
    let began = tokio::time::Instant::now();
    for _ in 0..10 {
        server.cut();
        client.write_all(b"x").await.unwrap();
        assert_eq!(accepted.read_u8().await.unwrap(), b'x');
    }
    assert!(
        began.elapsed() >= Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_shuts_down_refuses_new_sessions_and_waits_for_the_others() {
    let (server, mut streams) = Server::new(options());
    let (mut client, mut accepted) = server.begin(&mut streams).await;
    let (mut late, mut late_accepted) = server.begin(&mut streams).await;
    let sessions = server.sessions.lock().unwrap().clone();
    let shutting_down =
        tokio::spawn(async move { sessions.shutdown(Duration::from_secs(60)).await });
    sleep(Duration::from_secs(1)).await;
    let refused = server.clone();
    let error = ResumableStream::connect(move || refused.connect())
        .await
        .unwrap_err();
    assert_eq!(reason(&error), Closed);
    // The others continue, also over a cut, and end by themselves.
    server.cut();
    client.write_all(b"x").await.unwrap();
    assert_eq!(accepted.read_u8().await.unwrap(), b'x');
    let (ours, theirs) = tokio::join!(client.shutdown(), accepted.shutdown());
    ours.and(theirs).unwrap();
    assert!(!shutting_down.is_finished());
    // Those that do not are ended.
    assert_eq!(reason(&late.read_u8().await.unwrap_err()), Closed);
    assert_eq!(reason(&late_accepted.read_u8().await.unwrap_err()), Closed);
    shutting_down.await.unwrap();
    assert!(server.sessions.lock().unwrap().is_empty());
}

/// What a peer that sends these bytes gets: the error of the server, and its answer.
async fn attack(sessions: &Sessions, bytes: &[u8]) -> (io::Error, Vec<u8>) {
    let (mut attacker, io) = duplex(4096);
    let accepting = tokio::spawn({
        let sessions = sessions.clone();
        async move { sessions.accept(io).await }
    });
    let _ = attacker.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = attacker.read_to_end(&mut answer).await;
    (accepting.await.unwrap().unwrap_err(), answer)
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_speak_the_protocol_gets_nothing_and_costs_a_handshakes_time() {
    let sessions = Sessions::new(SessionOptions::new());
    let began = tokio::time::Instant::now();
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        &[0x16, 3, 1, 2, 0],
        &[1, 0xff, 0xff],
        &[1, 0, 15, b'X'],
    ] {
        let (_, answer) = attack(&sessions, bytes).await;
        assert!(answer.is_empty());
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    // Half of a HELLO, and silence.
    let (error, answer) = attack(&sessions, &[1, 0, 15, b'R', b'S', b'S', b'1']).await;
    assert_eq!((error.kind(), answer.len()), (ErrorKind::TimedOut, 0));
    assert!(began.elapsed() >= Duration::from_secs(10));
    // Another version of the protocol.
    let (_, answer) = attack(&sessions, &[1, 0, 15, b'R', b'S', b'S', b'2']).await;
    assert_eq!(answer, [5, 0, 6, 1, 0x41, 0, 0, 0, 0]);
    assert!(sessions.is_empty());
}

/// A RESUME of this session with a proof of zeros.
fn forged(id: &str) -> Vec<u8> {
    let hex = |at: usize| u8::from_str_radix(&id[at..at + 2], 16).unwrap();
    let mut message = vec![3, 0, 93, b'R', b'S', b'S', b'1', 1];
    message.extend((0..32).step_by(2).map(hex));
    message.extend([0xff; 8]); // epoch
    message.extend([0; 8 + 8 + 16 + 32]);
    message
}

#[tokio::test(start_paused = true)]
async fn a_forged_resume_changes_nothing_and_looks_like_one_of_an_unknown_session() {
    let (server, mut streams) = Server::new(options());
    let (mut client, mut accepted) = server.begin(&mut streams).await;
    let state = accepted.state();
    let sessions = server.sessions.lock().unwrap().clone();
    let (_, known) = attack(&sessions, &forged(&client.id().to_string())).await;
    let (_, unknown) = attack(&sessions, &forged(&"0".repeat(32))).await;
    assert_eq!(
        (&known, &known),
        (&unknown, &vec![5, 0, 6, 1, 2, 0, 0, 0, 0])
    );
    client.write_all(b"x").await.unwrap();
    assert_eq!(accepted.read_u8().await.unwrap(), b'x');
    assert_eq!(accepted.state(), state);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_confirms_its_session_leaves_nothing_behind() {
    let sessions = Sessions::new(SessionOptions::new());
    let hello = [
        1, 0, 15, b'R', b'S', b'S', b'1', 1, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0,
    ];
    for closes in [true, false] {
        let (mut client, io): (DuplexStream, _) = duplex(4096);
        client.write_all(&hello).await.unwrap();
        let mut welcome = [0; 64];
        let accept = async {
            let accepted = timeout(Duration::from_secs(30), sessions.accept(io))
                .await
                .unwrap();
            assert!(SessionLost::find(&accepted.unwrap_err()).is_none());
        };
        let client = async {
            client.read_exact(&mut welcome).await.unwrap();
            if closes {
                drop(client);
            } else {
                sleep(Duration::from_secs(60)).await;
            }
        };
        tokio::join!(accept, client);
        sleep(Duration::from_secs(12)).await;
        assert!(sessions.is_empty(), "closes: {closes}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_gives_up_ends_the_session() {
    let (server, mut streams) = Server::new(options());
    let connecting = server.clone();
    let mut client = ResumableStream::builder(move || connecting.connect())
        .policy(Policy::default().max_attempts(2))
        .connect()
        .await
        .unwrap();
    let accepted = streams.recv().await.unwrap();
    server.refuse(true);
    server.cut();
    let error = client.read_u8().await.unwrap_err();
    assert!(SessionLost::find(&error).is_some());
    assert_eq!(
        reconnecting_stream::GaveUp::find(&error).unwrap().attempts,
        2
    );
    drop(accepted);
}
